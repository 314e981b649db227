"""Frames of a stack as a page shows them, read from a foreign analysis or report.

Consecutive frames of plumbing are one group, which a page folds; the rounds of a recursion are
shown once, with a line that says how often they ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.report.analysis import UnknownFrames
from lastwords.report.folding import fold_words, folds
from lastwords.signature import is_plumbing
from lastwords.web.json_view import mapping, mappings, name, number, text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

__all__ = ["MAX_FRAMES", "FrameGroup", "FrameView", "StackView", "python_frame", "stack"]

MAX_FRAMES = 400
_MAX_INLINES = 32

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
    """Consecutive frames; those of plumbing are folded. A `note` stands alone, without frames."""

    is_plumbing: bool
    frames: tuple[FrameView, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackView:
    """A stack, innermost frame first; `left_out` frames are in the document only."""

    groups: tuple[FrameGroup, ...]
    frame_count: int
    left_out: int

    @property
    def line_count(self) -> int:
        """Lines that the stack takes on a page."""
        return sum(len(group.frames) + (group.note is not None) for group in self.groups)


def stack(found: Sequence[Mapping[str, object]], lines: int) -> StackView:
    """Read the frames of a document; `lines` is how many lines the page may have for them."""
    groups: list[FrameGroup] = []
    run: list[FrameView] = []
    shown, taken = 0, 0
    position = 0
    for position, item in _folded(found):
        if shown >= MAX_FRAMES or taken >= lines:
            break
        if isinstance(item, str):
            groups.extend(_groups(run))
            groups.append(FrameGroup(is_plumbing=False, frames=(), note=item))
            run, taken = [], taken + 1
            continue
        views = _frames(item, position)
        run.extend(views)
        shown, taken = shown + 1, taken + len(views)
    else:
        position = len(found)
    groups.extend(_groups(run))
    left_out = len(found) - position
    return StackView(groups=tuple(groups), frame_count=len(found), left_out=left_out)


def _folded(
    found: Sequence[Mapping[str, object]],
) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Yield frames with their positions, and in the place of repeated ones how many they are."""
    gaps = {index: number(frame.get("omitted_frames")) or 0 for index, frame in enumerate(found)}
    position = 0
    for fold in folds([_key(frame) for frame in found], {i: n for i, n in gaps.items() if n > 0}):
        for index in range(position, fold.hidden.start):
            yield index, found[index]
        yield fold.hidden.start, fold_words(fold, fold.start, fold.end - 1)
        position = fold.end
    for index in range(position, len(found)):
        yield index, found[index]


def _key(frame: Mapping[str, object]) -> Hashable:
    """What makes two frames the same call for a reader; the line may differ."""
    function, module = text(frame.get("function")), text(frame.get("module"))
    is_python = frame.get("kind") == "python"
    place = text(frame.get("module_offset")) or text(frame.get("offset"))
    inlined = tuple(
        text(inline.get("function")) for inline in mappings(frame.get("inlines"))[:_MAX_INLINES]
    )
    file = text(mapping(frame.get("python")).get("file")) if is_python else None
    return is_python, function, module, file, None if function else place, inlined


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
        return [python_frame(document, position)]
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


def python_frame(document: Mapping[str, object], position: int) -> FrameView:
    """Read a Python frame of an analysis, or of an exception."""
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
    unknown = mapping(document.get("unknown_frames"))
    if not unknown:
        return None
    gap = UnknownFrames(
        about=number(unknown.get("about")), stack_bytes=number(unknown.get("stack_bytes"))
    )
    return f"{gap.words()} before this one"
