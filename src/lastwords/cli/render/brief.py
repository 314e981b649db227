"""A few lines for chats and logs: the reason, the place, the in-app frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.facts import access_words, headline, process_name
from lastwords.cli.render.frames import frame_title, lines_of, text_of
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis
    from lastwords.signature.in_app import InApp

__all__ = ["brief_lines"]

_MAX_FRAMES = 12


def brief_lines(analysis: Analysis, in_app: InApp) -> Iterator[Text]:
    """A line for the reason, one for where, then the in-app frames of the crashing stack."""
    access = access_words(analysis)
    line = headline(analysis)
    yield line.append(f": {clean(access)}") if access else line
    yield Text(f"in {_place(analysis)}")
    frames = analysis.crashing_thread.frames if analysis.crashing_thread else ()
    found = [line for frame in frames for line in lines_of(frame, in_app) if line.is_in_app]
    width = max((len(line.function) for line in found[:_MAX_FRAMES]), default=0)
    for one in found[:_MAX_FRAMES]:
        yield text_of(one, min(width, 56))
    if len(found) > _MAX_FRAMES:
        yield Text(f"       {len(found) - _MAX_FRAMES} older in-app frames", style="dim")


def _place(analysis: Analysis) -> str:
    """`c memcpy (libc.so.6), thread 1 worker of app`."""
    thread, index = analysis.crashing_thread, analysis.crashing_index
    parts = []
    if thread is not None and thread.frames:
        newest = next((one for one in thread.frames if not one.plumbing), thread.frames[0])
        module = f" ({clean(newest.module)})" if newest.module and newest.function else ""
        parts.append(frame_title(newest) + module)
    name = process_name(analysis)
    process = clean(name) if name else "a process whose name is not known"
    if thread is not None and index is not None:
        title = f" {clean(thread.thread_name)}" if thread.thread_name else ""
        parts.append(f"thread {index}{title} of {process}")
    else:
        parts.append(process)
    return ", ".join(parts)
