"""Grouping, version 1: from frames to a readable signature and the keys of an issue.

Frozen: the same input gives the same result for ever. What would change a result becomes `v2.py`,
and the keys say which version made them. The steps, each of which leaves a note:

1. role     every frame gets a role from its module and the word lists
2. recurse  repeated cycles of frames are kept once
3. cut      frames above the last sentinel are dropped; its label joins the reason
4. walk     the first run of library frames (the outermost of them: what was called), the first
            native frame of the application, the first Python function of the application
5. decorate the crash reason in front
6. keys     which keys may group this report (see `SignatureResult.keys`)

Not used: line numbers, paths, addresses of functions with names, arguments, hashes in names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from lastwords.signature.frames import (
    FrameKind,
    PythonExceptionInput,
    SignatureFrame,
    SignatureInput,
)
from lastwords.signature.lists import Words, load
from lastwords.signature.messages import parameterised
from lastwords.signature.names import function_name
from lastwords.signature.python_names import python_function
from lastwords.signature.result import Note, SignatureResult, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ABNORMAL_END", "VERSION", "FrameRole", "sign"]

VERSION = "v1"

ABNORMAL_END = "abnormal_end"
"""First part of the signature of an end without a crash; the cause is the second, and the last."""

_MAX_TEXT_CHARS = 255
_MAX_HASHED_FRAMES = 16
_MAX_CYCLE = 8
_MIN_RECURSION = 10
_MIN_LIBRARY_FRAMES = 3
_GROUPABLE_QUALITY = 0.5
_TRUSTED = frozenset(
    ("context", "cfi", "cfi_scan", "frame_pointer", "prewalked", "inline", "python")
)
_REASON_SUFFIX = re.compile(r"_(?:READ|WRITE|EXEC|EXECUTE)$")


class FrameRole(str, Enum):
    """What a frame is for grouping."""

    APPLICATION = "application"
    LIBRARY = "library"
    UNKNOWN = "unknown"
    IRRELEVANT = "irrelevant"
    PLUMBING = "plumbing"
    SENTINEL = "sentinel"


_HASHED = (FrameRole.APPLICATION, FrameRole.LIBRARY, FrameRole.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A frame with its normalised name and role."""

    frame: SignatureFrame
    name: str
    role: FrameRole
    label: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        return self.frame.kind.value, self.name

    @property
    def score(self) -> float:
        if self.role is FrameRole.UNKNOWN or self.frame.function is None:
            return 0.0
        trust = 1.0 if self.frame.trust in _TRUSTED else 0.5
        return trust * (1.0 if self.role is FrameRole.APPLICATION else 0.5)


def sign(source: SignatureInput, words: Words | None = None) -> SignatureResult:
    """Make the signature of one report.

    Args:
        source: From `from_analysis`, `from_exception` or `from_report`.
        words: The word lists; those shipped with the package by default.
    """
    words = words or load()
    if source.end is not None:
        return _Trail([], None).finish([ABNORMAL_END, source.end], ABNORMAL_END, (), ())
    if source.exception is not None:
        return _sign_exception(source.exception, words)
    return _sign_native(source, words)


def _sign_native(source: SignatureInput, words: Words) -> SignatureResult:
    trail = _Trail([_name(frame, words) for frame in source.frames], source.message)
    frames, is_recursion = _collapse(trail.named, trail.notes)
    frames, label = _cut(frames, trail.notes)
    if is_recursion:
        label = "recursion"
    parts = _walk(frames, trail.notes)
    reason = _reason(source.reason)
    head = f"{reason}: {label}" if label else reason
    nothing = "(no frame to tell it by)" if trail.named else "(no stack)"
    texts = [head, *([part.name for part in parts] or [nothing])]
    return trail.finish(texts, head, parts, frames)


def _sign_exception(exception: PythonExceptionInput, words: Words) -> SignatureResult:
    trail = _Trail([_name(frame, words) for frame in exception.frames], exception.message)
    frames, is_recursion = _collapse(trail.named, trail.notes)
    head = f"pyexc:{_type_name(exception)}"
    if is_recursion:
        head += ": recursion"
    parts = [f for f in frames if f.role is FrameRole.APPLICATION][:1] or frames[:1]
    for part in parts:
        trail.note("walk", f"{part.name}: the innermost {part.role.value} function")
    texts = [head, *(part.name for part in parts)]
    return trail.finish(texts, " < ".join([head, *exception.chain]), parts, frames)


class _Trail:
    """What is known on the way to one signature."""

    def __init__(self, named: list[_Named], message: str | None) -> None:
        self.named = named
        self.message = parameterised(message) if message else None
        self.notes = list(_role_notes(named))

    def note(self, step: str, text: str) -> None:
        self.notes.append(Note(step=step, text=text))

    def finish(
        self, texts: list[str], head: str, parts: Sequence[_Named], frames: Sequence[_Named]
    ) -> SignatureResult:
        """Make the hashes. `head` is what must be equal besides the frames."""
        own = [part for part in parts if part.role is not FrameRole.LIBRARY]
        quality = round(sum(part.score for part in parts) / len(parts), 3) if parts else 0.0
        is_groupable = (
            any(part.role is FrameRole.APPLICATION for part in own)
            and all(part.frame.function is not None for part in own)
            and quality >= _GROUPABLE_QUALITY
        )
        result = SignatureResult(
            text=_join(texts, self.notes),
            parts=tuple(texts),
            quality=quality,
            is_groupable=is_groupable,
            stack_hash=_stack_hash(head, frames, is_groupable=is_groupable),
            addr_hash=_addr_hash(head, frames, self.named),
            msg_hash=_digest(head, self.message) if self.message else None,
            has_stack=bool(self.named),
            notes=(),
            version=VERSION,
        )
        if self.message:
            self.note("keys", f"message: {_printable(self.message)}")
        verdict = "may group alone" if is_groupable else "does not group alone"
        kinds = ", ".join(key.kind.value for key in result.keys)
        self.note("keys", f"quality {quality}: the signature {verdict}; keys: {kinds}")
        return replace(result, notes=tuple(self.notes))


def _name(frame: SignatureFrame, words: Words) -> _Named:
    if frame.kind is FrameKind.PYTHON:
        function = python_function(frame.function) or "?"
        name = f"{frame.module}:{function}" if frame.module else function
        role = FrameRole.LIBRARY if frame.is_system else FrameRole.APPLICATION
        return _Named(frame=frame, name=_printable(name), role=role)
    if frame.module is None and frame.function is None:
        return _Named(frame=frame, name="(unknown code)", role=FrameRole.UNKNOWN)
    module = frame.module or "(no module)"
    if frame.function is None:
        return _without_symbols(frame, module, words)
    function = function_name(frame.function)
    role, label = _native_role(frame, function, words)
    return _Named(frame=frame, name=f"{module}!{function}", role=role, label=label)


def _without_symbols(frame: SignatureFrame, module: str, words: Words) -> _Named:
    if frame.is_plumbing:
        return _Named(frame=frame, name=module, role=FrameRole.PLUMBING)
    if frame.is_system or words.system.find(module) is not None:
        return _Named(frame=frame, name=module, role=FrameRole.LIBRARY)
    offset = f"+0x{frame.module_offset:x}" if frame.module_offset is not None else ""
    return _Named(frame=frame, name=f"{module}{offset}", role=FrameRole.UNKNOWN)


def _native_role(frame: SignatureFrame, function: str, words: Words) -> tuple[FrameRole, str]:
    module = frame.module
    if frame.is_plumbing or words.plumbing.find(function, module) is not None:
        return FrameRole.PLUMBING, ""
    if words.irrelevant.find(function, module) is not None:
        return FrameRole.IRRELEVANT, ""
    label = words.sentinel.find(function, module)
    if label is not None:
        return FrameRole.SENTINEL, label
    is_system = frame.is_system or (module is not None and words.system.find(module) is not None)
    if is_system or words.prefix.find(function, module) is not None:
        return FrameRole.LIBRARY, ""
    return FrameRole.APPLICATION, ""


def _collapse(frames: list[_Named], notes: list[Note]) -> tuple[list[_Named], bool]:
    """Keep every repeated cycle once; a deep recursion at the top starts at its smallest name.

    Where a recursion dies is chance (the frame that met the stack's end): what is above it goes.
    """
    out: list[_Named] = []
    position = 0
    is_recursion = False
    while position < len(frames):
        length, repeats = _cycle_at(frames, position)
        cycle = frames[position : position + length]
        is_deep = repeats >= _MIN_RECURSION and all(f.frame.function for f in cycle)
        if is_deep and not is_recursion and position < _MAX_HASHED_FRAMES:
            smallest = min(range(length), key=lambda i: [f.identity for f in cycle[i:] + cycle[:i]])
            cycle = cycle[smallest:] + cycle[:smallest]
            is_recursion = True
            out.clear()
            notes.append(
                Note(step="recurse", text=f"recursion through {' → '.join(f.name for f in cycle)}")
            )
        elif repeats > 1:
            notes.append(
                Note(step="recurse", text=f"{cycle[0].name}: {length} frames repeat, kept once")
            )
        out.extend(cycle)
        position += length * repeats
        if is_recursion:
            position += _partial_cycle(frames, position, cycle)
    return out, is_recursion


def _cycle_at(frames: Sequence[_Named], start: int) -> tuple[int, int]:
    """Return length and number of repeats of the shortest cycle that begins at `start`."""
    for length in range(1, _MAX_CYCLE + 1):
        cycle = [frame.identity for frame in frames[start : start + length]]
        repeats = 1
        while True:
            low = start + length * repeats
            if [frame.identity for frame in frames[low : low + length]] != cycle:
                break
            repeats += 1
        if repeats > 1 and len(cycle) == length:
            return length, repeats
    return 1, 1


def _partial_cycle(frames: Sequence[_Named], position: int, cycle: Sequence[_Named]) -> int:
    """Count the frames after a recursion that are a part of one more round."""
    members = {frame.identity for frame in cycle}
    count = 0
    while count < len(cycle) and position + count < len(frames):
        if frames[position + count].identity not in members:
            break
        count += 1
    return count


def _cut(frames: list[_Named], notes: list[Note]) -> tuple[list[_Named], str]:
    """Drop what stands above the last sentinel before the application's first frame."""
    cut, label = 0, ""
    for index, named in enumerate(frames):
        if named.role is FrameRole.APPLICATION:
            break
        if named.role is FrameRole.SENTINEL:
            cut, label = index + 1, named.label or label
    if cut:
        notes.append(
            Note(
                step="cut",
                text=f"{frames[cut - 1].name}: the failure began in its caller ({label})",
            )
        )
    return frames[cut:], label


def _walk(frames: list[_Named], notes: list[Note]) -> list[_Named]:
    library: list[_Named] = []
    parts: list[_Named] = []
    is_run_open = True
    for named in frames:
        if named.role is FrameRole.LIBRARY and not parts:
            if is_run_open and (not library or library[0].frame.module == named.frame.module):
                library.append(named)
            else:
                is_run_open = False
        elif named.role is FrameRole.UNKNOWN and not parts:
            parts.append(named)
            notes.append(Note(step="walk", text=f"{named.name}: no symbols"))
        elif named.role is FrameRole.APPLICATION:
            is_python = named.frame.kind is FrameKind.PYTHON
            if is_python or not any(part.role is FrameRole.APPLICATION for part in parts):
                parts.append(named)
                notes.append(
                    Note(
                        step="walk",
                        text=f"{named.name}: application's first {named.frame.kind.value} frame",
                    )
                )
            if is_python:
                break
    return _with_library(library, parts, notes)


def _with_library(library: list[_Named], parts: list[_Named], notes: list[Note]) -> list[_Named]:
    if not library:
        return parts
    outermost = library[-1]
    notes.append(
        Note(step="walk", text=f"{outermost.name}: what was called, outermost of {len(library)}")
    )
    return [outermost, *parts]


def _stack_hash(head: str, frames: Sequence[_Named], *, is_groupable: bool) -> str | None:
    kept = [frame for frame in frames if frame.role in _HASHED][:_MAX_HASHED_FRAMES]
    if any(frame.role is FrameRole.UNKNOWN and frame.frame.module for frame in kept):
        return None
    named = [frame for frame in kept if frame.frame.function is not None]
    is_enough = len(named) >= _MIN_LIBRARY_FRAMES and all(f.frame.trust != "scan" for f in named)
    if not named or not (is_groupable or is_enough):
        return None
    return _digest(head, *(frame.name for frame in named))


def _addr_hash(head: str, frames: Sequence[_Named], all_frames: Sequence[_Named]) -> str | None:
    """Hash the application's places; the places of all frames where it has none.

    The Python function counts too, so that one native place under two of them is two issues, in one
    build (where this key is equal) as well as in the next (where only the names are).
    """
    own = [f for f in frames if f.role in (FrameRole.APPLICATION, FrameRole.UNKNOWN)]
    places = _places(own) or _places(all_frames)
    caller = [frame.name for frame in own if frame.frame.kind is FrameKind.PYTHON][:1]
    return _digest(head.partition(":")[0], *places, *caller) if places else None


def _places(frames: Iterable[_Named]) -> list[str]:
    places = []
    for named in frames:
        frame = named.frame
        if frame.kind is FrameKind.PYTHON or frame.is_inline:
            continue
        if frame.module is not None and frame.module_offset is not None:
            places.append(f"{frame.build_id or frame.module}+{frame.module_offset:x}")
    return places[:_MAX_HASHED_FRAMES]


def _role_notes(frames: Sequence[_Named]) -> Iterable[Note]:
    for index, named in enumerate(frames[:64]):
        label = f" ({named.label})" if named.label else ""
        yield Note(step="role", text=f"{index:2} {named.name}: {named.role.value}{label}")


def _reason(reason: str | None) -> str:
    """Return the class of the crash reason: `SIGSEGV / SEGV_MAPERR` → `SIGSEGV`."""
    if not reason:
        return "unknown reason"
    return _REASON_SUFFIX.sub("", _printable(reason.partition("/")[0].strip())) or "unknown reason"


def _type_name(exception: PythonExceptionInput) -> str:
    name = exception.type_name or "unknown exception"
    module = exception.type_module
    if module and module not in {"builtins", "__main__"} and not name.startswith(f"{module}."):
        name = f"{module}.{name}"
    return _printable(name)


def _join(parts: Sequence[str], notes: list[Note]) -> str:
    text = " | ".join(parts)
    if len(text) > _MAX_TEXT_CHARS:
        notes.append(
            Note(step="decorate", text=f"cut from {len(text)} to {_MAX_TEXT_CHARS} characters")
        )
        text = f"{text[: _MAX_TEXT_CHARS - 1]}…"
    return text


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _digest(*parts: str) -> str:
    return digest(VERSION, *parts)
