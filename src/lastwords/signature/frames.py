"""What a signature is made from: the frames of one thread, or one Python exception.

This module is the edge where decoded JSON becomes typed: `from_analysis` reads an analysis
document (docs/formats/analysis.md), `from_report` a `report.json` (docs/formats/report.md). Both
may come from a stranger's machine: every field may be absent or of a wrong type, which reads as
absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from lastwords.signature.names import module_name
from lastwords.signature.python_names import PathRoots, is_stdlib, python_module

__all__ = [
    "REQUESTED",
    "FrameKind",
    "PythonExceptionInput",
    "SignatureFrame",
    "SignatureInput",
    "from_analysis",
    "from_exception",
    "from_report",
]

REQUESTED = "dump on demand"
"""Reason of a dump that somebody asked for: no crash."""

_MAX_FRAMES = 1024
_MAX_NAME_CHARS = 4096
_MAX_STACK_CHARS = 262_144
_MAX_FURTHER_CHARS = 64
_MAX_THREADS = 512
_MAX_CHAIN = 8
_THROWING = ("__cxa_throw", "__cxa_rethrow", "std::rethrow_exception")


class FrameKind(str, Enum):
    """Whose code a frame runs."""

    NATIVE = "native"
    PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFrame:
    """One frame as far as grouping needs it.

    Args:
        kind: Native or Python.
        function: Native: the symbol's demangled name, `None` without symbols. Python: the
            qualified name.
        module: Native: the module's normalised name. Python: the dotted module, as far as known.
        build_id: Native: code id, else debug id of the module.
        module_offset: Native: bytes from the module's start to the instruction.
        trust: How the frame was found, in minidump-stackwalk's words.
        is_inline: The compiler put this call into the next native frame.
        is_plumbing: The analysis says that this frame is glue between two languages.
        is_system: The frame belongs to Python's standard library or to Python itself.
    """

    kind: FrameKind
    function: str | None = None
    module: str | None = None
    build_id: str | None = None
    module_offset: int | None = None
    trust: str = "unknown"
    is_inline: bool = False
    is_plumbing: bool = False
    is_system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonExceptionInput:
    """An unhandled Python exception.

    Args:
        type_name: The class's qualified name; `None` when unknown.
        type_module: The class's module; `None` when unknown.
        message: `str(exception)`; `None` when unknown.
        frames: Python frames, the raising one first.
        chain: Types of the explicit causes and contexts, nearest first.
    """

    type_name: str | None
    type_module: str | None
    message: str | None
    frames: tuple[SignatureFrame, ...]
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureInput:
    """What one report offers for grouping.

    Args:
        reason: The crash reason as in `crash_info.type`, e.g. `SIGSEGV / SEGV_MAPERR`; "no
            exception" for a dump that was asked for, `None` when unknown.
        message: An assertion or abort message of the native crash.
        frames: Merged frames of the crashing thread, innermost first, inline frames expanded.
        exception: Set when the report is about a Python exception; `frames` is then not used.
        end: Set when the report is about an end without a crash: its cause. Nothing else is used.
    """

    reason: str | None = None
    message: str | None = None
    frames: tuple[SignatureFrame, ...] = ()
    exception: PythonExceptionInput | None = None
    end: str | None = None


def from_analysis(document: Mapping[str, object]) -> SignatureInput:
    """Read the crashing thread of an analysis document.

    Without a crashing thread (a dump that was asked for, a damaged one) the result has no frames.
    """
    crash_info = _mapping(document.get("crash_info"))
    modules = {_text(m.get("filename")): m for m in _mappings(document.get("modules"))}
    roots = PathRoots.from_stacks(_python_stacks(document))
    frames: list[SignatureFrame] = []
    for frame in _crashing_frames(document, crash_info)[:_MAX_FRAMES]:
        frames.extend(_expand(frame, modules, roots))
    is_requested = bool(crash_info) and crash_info.get("type") is None
    read = SignatureInput(
        reason="no exception" if is_requested else _text(crash_info.get("type")),
        message=_text(crash_info.get("assertion")),
        frames=tuple(_bounded(frames[:_MAX_FRAMES])),
    )
    uncaught = _mapping(crash_info.get("cpp_exception"))
    if uncaught:
        return _of_uncaught(read, uncaught, _throw_frames(document, uncaught, modules, roots))
    if crash_info.get("stack_overflow") and read.message is None:
        return replace(read, message="stack overflow")
    return read


def _of_uncaught(
    read: SignatureInput, uncaught: Mapping[str, object], thrown: list[SignatureFrame]
) -> SignatureInput:
    """Say which C++ exception nobody caught, and begin at its throw.

    A stack that still holds the throw stays; one that was unwound before `std::terminate` shows
    where the exception was stopped, so the throw's own frames take the place of its native ones.
    """
    type_name = _text(uncaught.get("type"))
    reason = f"{_class_of(read.reason)}: {type_name}" if type_name else read.reason
    message = _text(uncaught.get("what")) or read.message
    frames = read.frames
    if thrown and not any(_is_throw(frame) for frame in frames):
        python = [frame for frame in frames if frame.kind is FrameKind.PYTHON]
        frames = tuple(_bounded([*thrown, *python][:_MAX_FRAMES]))
    return replace(read, reason=reason, message=message, frames=frames)


def _class_of(reason: str | None) -> str:
    return (reason or "unknown reason").partition("/")[0].strip()


def _is_throw(frame: SignatureFrame) -> bool:
    return (frame.function or "").startswith(_THROWING)


def _throw_frames(
    document: Mapping[str, object],
    uncaught: Mapping[str, object],
    modules: Mapping[str | None, Mapping[str, object]],
    roots: PathRoots,
) -> list[SignatureFrame]:
    """The frames of the throw; of an object that was rethrown, those of its first throw."""
    throws = document.get("throws")
    throw = _item(throws, uncaught.get("throw"))
    throw = _item(throws, throw.get("primary")) or throw
    frames: list[SignatureFrame] = []
    for frame in _mappings(throw.get("frames"))[:_MAX_FRAMES]:
        frames.extend(_expand(frame, modules, roots))
    return frames


def _item(items: object, index: object) -> Mapping[str, object]:
    if not isinstance(items, list) or not isinstance(index, int) or isinstance(index, bool):
        return {}
    return _mapping(items[index]) if 0 <= index < len(items) else {}


def from_exception(document: Mapping[str, object]) -> SignatureInput:
    """Read the `exception` object of a `report.json`."""
    frames = _mappings(document.get("frames"))
    roots = PathRoots.from_stacks([[_location(frame) for frame in reversed(frames)]])
    return SignatureInput(
        exception=PythonExceptionInput(
            type_name=_text(document.get("type")),
            type_module=_text(document.get("module")),
            message=_text(document.get("message")),
            frames=tuple(
                _bounded(_python_frame(frame, roots) for frame in reversed(frames[-_MAX_FRAMES:]))
            ),
            chain=tuple(_chain(document)),
        )
    )


def from_report(
    report: Mapping[str, object], analysis: Mapping[str, object] | None = None
) -> SignatureInput:
    """Read a report: its Python exception if it is about one, else the analysis of its dump.

    A report without both gives the reason alone, from the report's mechanism.
    """
    mechanism = _mapping(report.get("mechanism"))
    if mechanism.get("type") == "abnormal_end":
        return SignatureInput(end=_end(mechanism))
    exception = _mapping(report.get("exception"))
    if exception and mechanism.get("type") != "signal":
        return from_exception(exception)
    signal = _text(_mapping(mechanism.get("signal")).get("name"))
    if analysis is not None:
        read = from_analysis(analysis)
        if mechanism.get("type") == "requested":
            return replace(read, reason=REQUESTED, frames=_of_caller(read.frames))
        return replace(read, reason=signal) if read.reason is None else read
    if exception:
        return from_exception(exception)
    return SignatureInput(reason=signal or _text(mechanism.get("type")))


def _of_caller(frames: tuple[SignatureFrame, ...]) -> tuple[SignatureFrame, ...]:
    """Leave out `lastwords.dump()` itself: what asked for the dump begins below it."""
    own = [i for i, frame in enumerate(frames) if (frame.module or "").startswith("lastwords.sdk.")]
    return frames[own[-1] + 1 :] if own else frames


def _end(mechanism: Mapping[str, object]) -> str:
    """Name the end: its cause, and what makes one `os_exit` or `signal` another than the next."""
    end = _mapping(mechanism.get("end"))
    cause = _text(end.get("cause")) or "unknown"
    exit_code = end.get("exit_code")
    if cause == "os_exit" and isinstance(exit_code, int):
        return f"os_exit {exit_code}"
    signal = _text(_mapping(mechanism.get("signal")).get("name"))
    return signal if cause == "signal" and signal else cause


def _crashing_frames(
    document: Mapping[str, object], crash_info: Mapping[str, object]
) -> list[Mapping[str, object]]:
    frames = _mappings(_mapping(document.get("crashing_thread")).get("frames"))
    if frames:
        return frames
    index = crash_info.get("crashing_thread")
    threads = _mappings(document.get("threads"))
    if isinstance(index, int) and 0 <= index < len(threads):
        return _mappings(threads[index].get("frames"))
    return []


def _expand(
    frame: Mapping[str, object],
    modules: Mapping[str | None, Mapping[str, object]],
    roots: PathRoots,
) -> Iterable[SignatureFrame]:
    """Yield the frame's inline frames, innermost first, then the frame itself."""
    if frame.get("kind") == FrameKind.PYTHON.value:
        yield _python_frame({**frame, **_mapping(frame.get("python"))}, roots)
        return
    filename = _text(frame.get("module"))
    module = modules.get(filename, {})
    path = _text(module.get("code_file")) or _text(module.get("path")) or filename
    name = module_name(path, roots.package_of) if path else None
    build_id = _text(module.get("code_id")) or _text(module.get("debug_id"))
    offset = _address(frame.get("module_offset"))
    trust = _text(frame.get("trust")) or "unknown"
    is_plumbing = frame.get("plumbing") is True or frame.get("is_plumbing") is True
    inlines = [_text(inline.get("function")) for inline in _mappings(frame.get("inlines"))]
    functions = [*inlines, _text(frame.get("function"))]
    for position, function in enumerate(functions):
        yield SignatureFrame(
            kind=FrameKind.NATIVE,
            function=function,
            module=name,
            build_id=build_id,
            module_offset=offset,
            trust=trust,
            is_inline=position < len(inlines),
            is_plumbing=is_plumbing,
            is_system=path is not None and "/lib-dynload/" in path,
        )


def _bounded(frames: Iterable[SignatureFrame]) -> Iterable[SignatureFrame]:
    """Cut the names of a stack that has more text than a real one: a name costs time to read."""
    total = 0
    for frame in frames:
        total += len(frame.function or "")
        if total > _MAX_STACK_CHARS and frame.function is not None:
            yield replace(frame, function=frame.function[:_MAX_FURTHER_CHARS])
        else:
            yield frame


def _python_frame(frame: Mapping[str, object], roots: PathRoots) -> SignatureFrame:
    function, file = _location(frame)
    return SignatureFrame(
        kind=FrameKind.PYTHON,
        function=function,
        module=python_module(_text(frame.get("module")), file, roots),
        trust="python",
        is_system=is_stdlib(file),
    )


def _location(frame: Mapping[str, object]) -> tuple[str | None, str | None]:
    function = (
        _text(frame.get("qualname")) or _text(frame.get("function")) or _text(frame.get("name"))
    )
    return function, _text(frame.get("file"))


def _python_stacks(
    document: Mapping[str, object],
) -> list[list[tuple[str | None, str | None]]]:
    stacks = []
    for thread in _mappings(document.get("threads"))[:_MAX_THREADS]:
        frames = _mappings(thread.get("frames"))[-_MAX_FRAMES:]
        stacks.append(
            [
                _location({**frame, **_mapping(frame.get("python"))})
                for frame in frames
                if frame.get("kind") == FrameKind.PYTHON.value
            ]
        )
    return stacks


def _chain(document: Mapping[str, object]) -> Iterable[str]:
    current = document
    for _ in range(_MAX_CHAIN):
        current = _mapping(current.get("cause")) or _mapping(current.get("context"))
        name = _text(current.get("type"))
        if name is None:
            return
        yield name


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value[:_MAX_NAME_CHARS]


def _address(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or len(value) > 18:
        return None
    try:
        return int(value, 16)
    except ValueError:
        return None
