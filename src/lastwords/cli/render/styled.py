"""Lines of text in colours: what the page needs of rich, without the 40 ms of its import.

A style is a few words (`bold red`); it holds for its piece of the line alone. Without colour a
line is its plain text, so whatever matters must be said by characters too.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Text", "is_coloured", "write_lines"]

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}


class Text:
    """One line in pieces, each with its style.

    Args:
        text: The first piece.
        style: Words of `bold`, `dim`, `red`, `green`, `yellow`, `cyan`.
    """

    __slots__ = ("_pieces",)

    def __init__(self, text: str = "", style: str = "") -> None:
        self._pieces: list[tuple[str, str]] = [(text, style)] if text else []

    def append(self, text: str, style: str = "") -> Text:
        """Add a piece; returns the line."""
        if text:
            self._pieces.append((text, style))
        return self

    def append_text(self, other: Text) -> Text:
        """Add all pieces of another line; returns this one."""
        self._pieces.extend(other._pieces)
        return self

    def rstrip(self) -> None:
        """Take white space away at the end."""
        while self._pieces:
            text, style = self._pieces.pop()
            if text.rstrip():
                self._pieces.append((text.rstrip(), style))
                return

    @property
    def plain(self) -> str:
        """The line without colours."""
        return "".join(text for text, _ in self._pieces)

    @property
    def coloured(self) -> str:
        """The line with the escape sequences of terminals (ECMA-48, SGR)."""
        return "".join(_coloured(text, style) for text, style in self._pieces)


def _coloured(text: str, style: str) -> str:
    codes = ";".join(_CODES[word] for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text


def is_coloured() -> bool:
    """Whether stdout takes colours: a terminal that knows them, and no `NO_COLOR` (no-color.org).

    `FORCE_COLOR` has pipes coloured too.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def write_lines(lines: Iterable[Text]) -> None:
    """Write lines to stdout at once."""
    with_colour = is_coloured()
    page = "".join(f"{line.coloured if with_colour else line.plain}\n" for line in lines)
    sys.stdout.write(page)
    sys.stdout.flush()
