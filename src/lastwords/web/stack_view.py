"""Stacks as a page shows them, read from foreign JSON documents.

Everything in an analysis or a report may be absent or of a wrong type; such a field reads as
absent. What is too much for a page is counted and left to the raw document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lastwords.signature import is_plumbing

__all__ = [
    "ExceptionView",
    "FrameGroup",
    "FrameView",
    "ThreadView",
    "exception_chain",
    "mapping",
    "mappings",
    "text",
    "threads",
]

MAX_FRAMES = 400
MAX_THREADS = 200
MAX_CHAIN = 16
_MAX_LINES = 5_000
_MAX_INLINES = 32
_MAX_TEXT = 2000
_MAX_NAME = 600

_TRUST = {
    "context": "registers at the crash",
    "cfi": "call frame information",
    "cfi_scan": "call frame information after a scan",
    "frame_pointer": "frame pointer",
    "scan": "stack scan: may be wrong",
    "prewalked": "walked on the machine that crashed",
    "inline": "inline function",
    "python": "Python's own records",
    "none": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameView:
    """One line of a stack; `None` where nothing is known.

    Args:
        number: Position in the merged list; inline frames share the one of their host.
        is_python: Python code, otherwise native.
        is_inline: The compiler put this function into the next native frame.
        is_plumbing: Glue between Python and native code.
        is_doubtful: Found by scanning the stack, or its place is not known.
        function: Name; `None` without symbols.
        module: Base name of the module's file, or `None`.
        file: Source file.
        line: 1-based line.
        place: Module and offset, for frames without symbols.
        trust: How the frame was found, in words.
        remark: What stands before this frame and could not be shown.
    """

    number: int
    is_python: bool
    is_inline: bool
    is_plumbing: bool
    is_doubtful: bool
    function: str | None
    module: str | None
    file: str | None
    line: int | None
    place: str | None
    trust: str
    remark: str | None = None

    @property
    def location(self) -> str | None:
        """Return `file:line` as far as it is known."""
        if self.file is None:
            return None
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameGroup:
    """Consecutive frames; those of plumbing are folded."""

    is_plumbing: bool
    frames: tuple[FrameView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadView:
    """A thread with its stack, innermost frame first."""

    thread_id: int | None
    name: str | None
    is_crashing: bool
    holds_gil: bool
    groups: tuple[FrameGroup, ...]
    frame_count: int
    left_out: int

    @property
    def title(self) -> str:
        """Return the thread's number and name."""
        number = "?" if self.thread_id is None else str(self.thread_id)
        return f"Thread {number} ({self.name})" if self.name else f"Thread {number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionView:
    """A Python exception; `relation` says how it led to the next one."""

    type_name: str
    message: str | None
    notes: tuple[str, ...]
    thread_name: str | None
    frames: tuple[FrameView, ...]
    left_out: int
    relation: str | None


def threads(analysis: Mapping[str, object]) -> tuple[list[ThreadView], int]:
    """Return the threads, the crashing one first, and how many were left out."""
    found = mappings(analysis.get("threads"))
    crashing = mapping(analysis.get("crash_info")).get("crashing_thread")
    index = crashing if isinstance(crashing, int) and 0 <= crashing < len(found) else None
    holder = mapping(analysis.get("python")).get("gil_holder_thread")
    order = list(range(len(found)))
    if index is not None:
        order.remove(index)
        order.insert(0, index)
    shown: list[ThreadView] = []
    lines = _MAX_LINES
    for position in order[:MAX_THREADS]:
        is_crashing = position == index
        thread = _thread(found[position], lines, is_crashing=is_crashing, gil_holder=holder)
        lines -= sum(len(group.frames) for group in thread.groups)
        shown.append(thread)
    if not shown and (only := mapping(analysis.get("crashing_thread"))):
        shown = [_thread(only, lines, is_crashing=True, gil_holder=holder)]
    return shown, max(len(found) - MAX_THREADS, 0)


def exception_chain(exception: Mapping[str, object]) -> list[ExceptionView]:
    """Return an exception after those that led to it, as Python prints it: first cause first."""
    chain: list[ExceptionView] = []
    relation: str | None = None
    current = exception
    lines = _MAX_LINES
    while current and len(chain) < MAX_CHAIN:
        view = _exception(current, relation, min(lines, MAX_FRAMES))
        lines -= len(view.frames)
        chain.append(view)
        cause = mapping(current.get("cause"))
        relation = (
            "was the direct cause of the next exception"
            if cause
            else "was being handled when the next exception occurred"
        )
        current = cause or mapping(current.get("context"))
    chain.reverse()
    return chain


def mapping(value: object) -> Mapping[str, object]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Mapping[str, object]]:
    """Return the mappings of a list; of anything else, none."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def text(value: object) -> str | None:
    """Return text, cut to 2,000 characters; numbers as text; `None` for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}…"


def name(value: object) -> str | None:
    """Return text as `text()` does, cut to 600 characters: there may be thousands on a page."""
    found = text(value)
    return found if found is None or len(found) <= _MAX_NAME else f"{found[:_MAX_NAME]}…"


def number(value: object) -> int | None:
    """Return an integer; `None` for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _thread(
    document: Mapping[str, object], lines: int, *, is_crashing: bool, gil_holder: object
) -> ThreadView:
    """Read a thread; `lines` is how many more lines the page may have."""
    found = mappings(document.get("frames"))
    frames: list[FrameView] = []
    shown = 0
    for frame in found[:MAX_FRAMES]:
        if len(frames) >= lines:
            break
        frames.extend(_frames(frame, shown))
        shown += 1
    thread_id = number(document.get("thread_id"))
    python = mapping(document.get("python"))
    is_holder = thread_id is not None and thread_id == gil_holder
    return ThreadView(
        thread_id=thread_id,
        name=text(document.get("thread_name")),
        is_crashing=is_crashing,
        holds_gil=python.get("holds_gil") is True or is_holder,
        groups=tuple(_groups(frames)),
        frame_count=len(found),
        left_out=len(found) - shown,
    )


def _groups(frames: Sequence[FrameView]) -> list[FrameGroup]:
    groups: list[FrameGroup] = []
    run: list[FrameView] = []
    for frame in frames:
        if run and frame.is_plumbing != run[0].is_plumbing:
            groups.append(FrameGroup(is_plumbing=run[0].is_plumbing, frames=tuple(run)))
            run = []
        run.append(frame)
    if run:
        groups.append(FrameGroup(is_plumbing=run[0].is_plumbing, frames=tuple(run)))
    return groups


def _frames(document: Mapping[str, object], position: int) -> list[FrameView]:
    if document.get("kind") == "python":
        return [_python_frame(document, position)]
    host = _native_frame(document, position)
    inlines = [
        FrameView(
            number=position,
            is_python=False,
            is_inline=True,
            is_plumbing=host.is_plumbing,
            is_doubtful=host.is_doubtful,
            function=name(inline.get("function")),
            module=host.module,
            file=name(inline.get("file")),
            line=number(inline.get("line")),
            place=None,
            trust=_TRUST["inline"],
        )
        for inline in mappings(document.get("inlines"))[:_MAX_INLINES]
    ]
    return [*inlines, host]


def _native_frame(document: Mapping[str, object], position: int) -> FrameView:
    function, module = name(document.get("function")), name(document.get("module"))
    offset = text(document.get("module_offset"))
    address = text(document.get("offset"))
    trust = text(document.get("trust")) or "none"
    return FrameView(
        number=position,
        is_python=False,
        is_inline=False,
        is_plumbing=document.get("plumbing") is True or is_plumbing(function, module),
        is_doubtful=trust in {"scan", "none"},
        function=function,
        module=module,
        file=name(document.get("file")),
        line=number(document.get("line")),
        place=f"{module}+{offset}" if module and offset else address,
        trust=_TRUST.get(trust, trust),
        remark=_remark(document),
    )


def _python_frame(document: Mapping[str, object], position: int) -> FrameView:
    python = mapping(document.get("python"))
    is_unplaced = python.get("placement") == "unplaced"
    qualname = python.get("qualname") or document.get("qualname") or document.get("function")
    return FrameView(
        number=position,
        is_python=True,
        is_inline=False,
        is_plumbing=False,
        is_doubtful=is_unplaced,
        function=name(qualname),
        module=None,
        file=name(python.get("file")) or name(document.get("file")),
        line=number(python.get("line")) or number(document.get("line")),
        place=None,
        trust="its place among the native frames is not known" if is_unplaced else _TRUST["python"],
        remark=_remark(document),
    )


def _remark(document: Mapping[str, object]) -> str | None:
    omitted = number(document.get("omitted_frames"))
    if omitted:
        return f"{omitted:,} frames are left out here"
    unknown = document.get("unknown_frames")
    if unknown is True:
        return "some native frames before this one are not known"
    count = number(unknown)
    return f"{count:,} native frames before this one are not known" if count else None


def _exception(document: Mapping[str, object], relation: str | None, limit: int) -> ExceptionView:
    found = mappings(document.get("frames"))
    shown = found[max(len(found) - limit, 0) :]
    type_name, module = text(document.get("type")), text(document.get("module"))
    is_builtin = module in {None, "builtins", "__main__"}
    notes = document.get("notes")
    return ExceptionView(
        type_name=(type_name or "unknown exception") if is_builtin else f"{module}.{type_name}",
        message=text(document.get("message")),
        notes=tuple(str(note)[:_MAX_TEXT] for note in notes[:16])
        if isinstance(notes, list)
        else (),
        thread_name=text(document.get("thread_name")),
        frames=tuple(
            replace(_python_frame(frame, position), trust="")  # there is no other way to know it
            for position, frame in enumerate(shown)
        ),
        left_out=len(found) - len(shown),
        relation=relation,
    )
