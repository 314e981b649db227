"""The source lines below a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.symbols.source_files import SourceFiles

__all__ = ["SourceView"]


class SourceView:
    """Shows the source lines of frames.

    Args:
        files: Where they are.
        max_frames: So many frames of a page get lines, the newest first; `None` = all.
        context: Lines on each side of a frame's.
    """

    def __init__(
        self, files: SourceFiles, *, max_frames: int | None = None, context: int = 3
    ) -> None:
        self._files = files
        self._left = max_frames
        self._context = context

    def lines(self, file: str, line: int) -> Iterator[Text]:
        """The lines around one, that one marked; none when the file is not found."""
        if self._left == 0:
            return
        found = self._files.around(file, line, context=self._context)
        if found and self._left is not None:
            self._left -= 1
        for one in found:
            mark = ">" if one.is_current else " "
            text = clean(one.text.replace("\t", "    "))
            style = "" if one.is_current else "dim"
            yield Text(f"          {mark} {one.number:>5}  {text}".rstrip(), style=style)
