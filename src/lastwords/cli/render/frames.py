"""One frame as a line: mark of its language, function, place, what is to be said of it.

In-app frames have a `*` before their number, and are bold where there is colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean, short_path
from lastwords.cli.render.styled import Text
from lastwords.report.analysis import Frame, FrameKind, FrameTrust, Placement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import InlineFrame
    from lastwords.signature.in_app import InApp

__all__ = ["FrameLine", "frame_title", "inline_title", "lines_of", "remark_line", "text_of"]

_LANGUAGES = {
    ".c": "c",
    ".cc": "c++",
    ".cpp": "c++",
    ".cxx": "c++",
    ".hh": "c++",
    ".hpp": "c++",
    ".hxx": "c++",
    ".tcc": "c++",
    ".m": "objc",
    ".mm": "objc",
    ".rs": "rust",
    ".s": "asm",
    ".swift": "swift",
}
_TRUST_WORDS = {
    FrameTrust.FRAME_POINTER: "by frame pointer",
    FrameTrust.CFI_SCAN: "a guess: found by scanning",
    FrameTrust.SCAN: "a guess: found by scanning",
    FrameTrust.UNKNOWN: "trust not known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLine:
    """A line of a stack, in parts; a remark that stands alone has nothing else."""

    number: str = ""
    mark: str = ""
    function: str = ""
    place: str = ""
    remark: str = ""
    source: tuple[str, int] | None = None
    is_in_app: bool = False


def frame_title(frame: Frame) -> str:
    """Mark, function and place in one line."""
    mark = _mark_of(frame.kind, frame.file, frame.function)
    place = _place_of(frame.file, frame.line)
    return " ".join(part for part in (mark, _function_of(frame), place) if part)


def inline_title(frame: Frame, inline: InlineFrame) -> str:
    """The same of a call that is inlined in a frame."""
    mark = _mark_of(frame.kind, inline.file or frame.file, inline.function)
    place = _place_of(inline.file, inline.line)
    return " ".join(part for part in (mark, clean(inline.function or "?"), place) if part)


def text_of(line: FrameLine, width: int) -> Text:
    """The line as it is shown; the function takes at least `width` columns."""
    if not line.number and not line.mark:
        return Text(f"       {line.remark}", style="dim")
    text = Text("*" if line.is_in_app else " ", style="bold")
    text.append(f"{line.number:>3}  ", style="dim")
    text.append(f"{line.mark:<5} ", style="green" if line.mark == "py" else "cyan")
    text.append(f"{line.function:<{width}}", style="bold" if line.is_in_app else "")
    if line.place:
        text.append(f"  {line.place}")
    if line.remark:
        text.append(f"  ({line.remark})", style="dim")
    text.rstrip()
    return text


def lines_of(frame: Frame, in_app: InApp | None = None) -> Iterator[FrameLine]:
    """What stands before a frame, the calls inlined in it (newest first), then itself."""
    if frame.omitted_frames:
        yield remark_line(f"… {frame.omitted_frames} frames left out: --max-frames")
    if frame.unknown_frames:
        yield remark_line(f"… {frame.unknown_frames.words()}")
    for inline in frame.inlines or ():
        yield _inline_line(frame, inline, in_app)
    yield _frame_line(frame, in_app)


def remark_line(text: str) -> FrameLine:
    """A line that is no frame."""
    return FrameLine(remark=text)


def _inline_line(frame: Frame, inline: InlineFrame, in_app: InApp | None) -> FrameLine:
    return FrameLine(
        mark=_mark_of(frame.kind, inline.file or frame.file, inline.function),
        function=clean(inline.function or "?"),
        place=_place_of(inline.file, inline.line),
        remark="inlined",
        source=_source_of(inline.file, inline.line),
        is_in_app=in_app is not None and in_app.inline(frame, inline),
    )


def _frame_line(frame: Frame, in_app: InApp | None) -> FrameLine:
    return FrameLine(
        number=str(frame.frame),
        mark=_mark_of(frame.kind, frame.file, frame.function),
        function=_function_of(frame),
        place=_place_of(frame.file, frame.line),
        remark=", ".join(_remarks_of(frame)),
        source=_source_of(frame.file, frame.line),
        is_in_app=in_app is not None and in_app.frame(frame),
    )


def _source_of(file: str | None, line: int | None) -> tuple[str, int] | None:
    return (file, line) if file and line else None


def _remarks_of(frame: Frame) -> Iterator[str]:
    if frame.kind is FrameKind.NATIVE and frame.module and frame.function:
        yield clean(frame.module)
    if not frame.trust.is_exact:
        yield _TRUST_WORDS.get(frame.trust, frame.trust.value)
    if frame.python and frame.python.placement is Placement.UNPLACED:
        yield "unplaced: true, but its place among the native frames is not known"
    if frame.python and frame.python.is_partial:
        yield "partly read"


def _mark_of(kind: FrameKind, file: str | None, function: str | None) -> str:
    """`py`, the language of a native source file, or `bin` where there is no source.

    Headers named `.h` are of C or C++; C has no names with `::` or parameters.
    """
    if kind is FrameKind.PYTHON:
        return "py"
    if not file:
        return "bin"
    extension = file[file.rfind(".") :].lower() if "." in file else ""
    is_cpp = any(mark in (function or "") for mark in ("::", "("))
    return _LANGUAGES.get(extension, "c++" if is_cpp else "c")


def _function_of(frame: Frame) -> str:
    if frame.function:
        return clean(frame.function)
    if frame.module and frame.module_offset is not None:
        return f"{clean(frame.module)}+{int(frame.module_offset):#x}"
    return str(frame.offset) if frame.offset is not None else "?"


def _place_of(file: str | None, line: int | None) -> str:
    if not file:
        return ""
    return f"{short_path(file)}:{line}" if line is not None else short_path(file)
