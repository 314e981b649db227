"""One thread's stack, Python and native frames told apart by a mark at the start of the line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.frames import FrameLine, frame_title, lines_of, remark_line, text_of
from lastwords.cli.render.styled import Text
from lastwords.report.analysis import Frame, FrameKind
from lastwords.report.folding import fold_words, folds

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from lastwords.cli.render.sources import SourceView
    from lastwords.report.analysis import Thread
    from lastwords.signature.in_app import InApp

__all__ = ["frame_lines", "kernel_lines", "stack_lines", "thread_summary", "thread_title"]

_MAX_FUNCTION_WIDTH = 56
_MAX_KERNEL_LINES = 60


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


def stack_lines(
    thread: Thread,
    *,
    is_plumbing_shown: bool,
    is_folded: bool = True,
    sources: SourceView | None = None,
    in_app: InApp | None = None,
) -> Iterator[Text]:
    """The frames, newest first; inlined calls stand before the frame that holds them."""
    shown = thread.frames if is_plumbing_shown else _without_plumbing(thread.frames)
    yield from frame_lines(shown, is_folded=is_folded, sources=sources, in_app=in_app)
    folded = len(thread.frames) - len(shown)
    if folded:
        plural = "" if folded == 1 else "s"
        note = f"       {folded} frame{plural} of the interpreter's call plumbing folded"
        yield Text(f"{note}: --all-frames", style="dim")


def kernel_lines(thread: Thread) -> Iterator[Text]:
    """Where the thread stood in the kernel, if the dump tells it."""
    for line in (thread.kernel_stack or "").splitlines()[:_MAX_KERNEL_LINES]:
        yield Text(f"  kernel  {clean(line)}", style="dim")


def frame_lines(
    frames: Sequence[Frame],
    *,
    is_folded: bool = True,
    sources: SourceView | None = None,
    in_app: InApp | None = None,
) -> Iterator[Text]:
    """The frames as they stand; the rounds of a recursion once.

    Source lines follow each in-app frame; each frame, where it is not told which are in-app.
    """
    lines = list(_folded_lines(frames, in_app) if is_folded else _plain_lines(frames, in_app))
    width = max((len(line.function) for line in lines), default=0)
    width = min(width, _MAX_FUNCTION_WIDTH)
    if not lines:
        yield Text("  no frames", style="dim")
    for line in lines:
        yield text_of(line, width)
        is_wanted = in_app is None or line.is_in_app
        if sources is not None and line.source is not None and is_wanted:
            yield from sources.lines(*line.source)


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


def _plain_lines(frames: Sequence[Frame], in_app: InApp | None) -> Iterator[FrameLine]:
    for frame in frames:
        yield from lines_of(frame, in_app)


def _folded_lines(frames: Sequence[Frame], in_app: InApp | None) -> Iterator[FrameLine]:
    gaps = {index: frame.omitted_frames or 0 for index, frame in enumerate(frames)}
    found = folds([_key_of(frame) for frame in frames], {i: n for i, n in gaps.items() if n})
    folded = 0
    position = 0
    for fold in found:
        yield from _plain_lines(frames[position : fold.hidden.start], in_app)
        first, last = frames[fold.start].frame, frames[fold.end - 1].frame
        yield remark_line(fold_words(fold, first, last))
        folded += len(fold.hidden)
        position = fold.end
    yield from _plain_lines(frames[position:], in_app)
    if folded:
        yield remark_line(f"{folded:,} repeated frames folded: --no-fold")


def _key_of(frame: Frame) -> Hashable:
    """What makes two frames the same call for a reader; the line may differ."""
    place = None if frame.function else (frame.module_offset or frame.offset)
    inlined = tuple(inline.function for inline in frame.inlines or ())
    file = frame.file if frame.kind is FrameKind.PYTHON else None
    return frame.kind, frame.function, frame.module, file, place, inlined
