"""One thread's stack, Python and native frames told apart by a mark at the start of the line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from lastwords.cli.render.clean import clean, short_path
from lastwords.report.analysis import Frame, FrameKind, FrameTrust, Placement
from lastwords.report.folding import fold_words, folds

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from lastwords.report.analysis import InlineFrame, Thread

__all__ = ["frame_lines", "frame_title", "stack_lines", "thread_summary", "thread_title"]

_MAX_FUNCTION_WIDTH = 56
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
_MAX_KERNEL_LINES = 60
_STYLES = {"py": "green", "": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: str
    mark: str
    function: str
    place: str
    remark: str


def thread_title(thread: Thread, index: int, what: str) -> Text:
    """`Crashing thread 3 worker-1 (4243), holds the GIL`."""
    title = Text(f"{what} {index}", style="bold")
    if thread.thread_name:
        title.append(f" {clean(thread.thread_name)}", style="bold")
    if thread.thread_id is not None:
        title.append(f" ({thread.thread_id})")
    python = thread.python
    if python and python.holds_gil:
        title.append(", holds the GIL")
    if python and python.exception_type:
        title.append(f", raising {clean(python.exception_type)}")
    info = thread.info
    if info and info.user_s is not None and info.kernel_s is not None:
        title.append(f", {info.user_s + info.kernel_s:.2f} s of CPU time")
    return title


def thread_summary(thread: Thread, index: int) -> Text:
    """One line: the newest Python frame if there is one, and the newest native one."""
    line = Text("  ").append_text(thread_title(thread, index, "Thread"))
    newest = [_newest(thread, FrameKind.PYTHON), _newest(thread, FrameKind.NATIVE)]
    places = [frame_title(frame) for frame in newest if frame is not None]
    line.append(f": {', '.join(places)}" if places else ": no frames")
    if places:
        line.append(f", {len(thread.frames)} frames", style="dim")
    return line


def _newest(thread: Thread, kind: FrameKind) -> Frame | None:
    return next((frame for frame in thread.frames if frame.kind is kind), None)


def frame_title(frame: Frame) -> str:
    """Mark, function and place in one line."""
    mark = _mark_of(frame.kind, frame.file, frame.function)
    place = _place_of(frame.file, frame.line)
    return " ".join(part for part in (mark, _function_of(frame), place) if part)


def stack_lines(
    thread: Thread, *, is_plumbing_shown: bool, is_folded: bool = True
) -> Iterator[Text]:
    """The frames, newest first; inlined calls stand before the frame that holds them."""
    shown = thread.frames if is_plumbing_shown else _without_plumbing(thread.frames)
    yield from frame_lines(shown, is_folded=is_folded)
    folded = len(thread.frames) - len(shown)
    if folded:
        plural = "" if folded == 1 else "s"
        note = f"       {folded} frame{plural} of the interpreter's call plumbing folded"
        yield Text(f"{note}: --all-frames", style="dim")


def kernel_lines(thread: Thread) -> Iterator[Text]:
    """Where the thread stood in the kernel, if the dump tells it."""
    for line in (thread.kernel_stack or "").splitlines()[:_MAX_KERNEL_LINES]:
        yield Text(f"  kernel  {clean(line)}", style="dim")


def frame_lines(frames: Sequence[Frame], *, is_folded: bool = True) -> Iterator[Text]:
    """The frames as they stand; the rounds of a recursion once."""
    lines = list(_folded_lines(frames) if is_folded else _plain_lines(frames))
    width = max((len(line.function) for line in lines), default=0)
    width = min(width, _MAX_FUNCTION_WIDTH)
    if not lines:
        yield Text("  no frames", style="dim")
    for line in lines:
        yield _text_of(line, width)


def _without_plumbing(frames: Sequence[Frame]) -> list[Frame]:
    """What stands before a frame that is not shown stands before the next one."""
    shown: list[Frame] = []
    omitted, unknown = 0, None
    for frame in frames:
        omitted += frame.omitted_frames or 0
        unknown = unknown or frame.unknown_frames
        if frame.plumbing:
            continue
        shown.append(replace(frame, omitted_frames=omitted or None, unknown_frames=unknown))
        omitted, unknown = 0, None
    return shown


def _plain_lines(frames: Sequence[Frame]) -> Iterator[_Line]:
    for frame in frames:
        yield from _lines_of(frame)


def _folded_lines(frames: Sequence[Frame]) -> Iterator[_Line]:
    gaps = {index: frame.omitted_frames or 0 for index, frame in enumerate(frames)}
    found = folds([_key_of(frame) for frame in frames], {i: n for i, n in gaps.items() if n})
    folded = 0
    position = 0
    for fold in found:
        yield from _plain_lines(frames[position : fold.hidden.start])
        first, last = frames[fold.start].frame, frames[fold.end - 1].frame
        yield _remark(fold_words(fold, first, last))
        folded += len(fold.hidden)
        position = fold.end
    yield from _plain_lines(frames[position:])
    if folded:
        yield _remark(f"{folded:,} repeated frames folded: --no-fold")


def _key_of(frame: Frame) -> Hashable:
    """What makes two frames the same call for a reader; the line may differ."""
    place = None if frame.function else (frame.module_offset or frame.offset)
    inlined = tuple(inline.function for inline in frame.inlines or ())
    file = frame.file if frame.kind is FrameKind.PYTHON else None
    return frame.kind, frame.function, frame.module, file, place, inlined


def _text_of(line: _Line, width: int) -> Text:
    if not line.number and not line.mark:
        return Text(f"       {line.remark}", style="dim")
    style = _STYLES.get(line.mark, "cyan")
    text = Text(f"{line.number:>4}  ", style="dim")
    text.append(f"{line.mark:<5} ", style=f"not dim {style}")
    is_python = line.mark == "py"
    text.append(f"{line.function:<{width}}", style="not dim bold" if is_python else "not dim")
    if line.place:
        text.append(f"  {line.place}", style="not dim")
    if line.remark:
        text.append(f"  ({line.remark})")
    text.rstrip()
    return text


def _lines_of(frame: Frame) -> Iterator[_Line]:
    if frame.omitted_frames:
        yield _remark(f"… {frame.omitted_frames} frames left out: --max-frames")
    if frame.unknown_frames:
        yield _remark(f"… {frame.unknown_frames.words()}")
    for inline in frame.inlines or ():
        yield _inline_line(frame, inline)
    yield _frame_line(frame)


def _remark(text: str) -> _Line:
    return _Line(number="", mark="", function="", place="", remark=text)


def _inline_line(frame: Frame, inline: InlineFrame) -> _Line:
    return _Line(
        number="",
        mark=_mark_of(frame.kind, inline.file or frame.file, inline.function),
        function=clean(inline.function or "?"),
        place=_place_of(inline.file, inline.line),
        remark="inlined",
    )


def _frame_line(frame: Frame) -> _Line:
    return _Line(
        number=str(frame.frame),
        mark=_mark_of(frame.kind, frame.file, frame.function),
        function=_function_of(frame),
        place=_place_of(frame.file, frame.line),
        remark=", ".join(_remarks_of(frame)),
    )


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
