"""Foreign text, made fit for a terminal."""

from __future__ import annotations

__all__ = ["clean", "printable", "short_path"]

_MAX_CHARS = 400
_SHOWN_PARTS = 3


def clean(text: str) -> str:
    """Replace what moves the cursor, changes colours or breaks the line; cut very long text.

    A dump is somebody else's data: a thread name may hold an escape sequence.
    """
    shown = printable(text)
    return shown if len(shown) <= _MAX_CHARS else shown[:_MAX_CHARS] + "…"


def printable(text: str) -> str:
    """Replace what moves the cursor, changes colours or breaks the line; cut nothing."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def short_path(path: str) -> str:
    """The last three parts of a path, which may be of another system than this one."""
    separator = "\\" if "\\" in path and "/" not in path else "/"
    parts = path.split(separator)
    if len(parts) <= _SHOWN_PARTS + 1:
        return clean(path)
    return clean("…" + separator + separator.join(parts[-_SHOWN_PARTS:]))
