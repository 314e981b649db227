"""The syntax around commands: several on a line, quotes, comments, options and counts."""

from __future__ import annotations

import re

__all__ = ["split_commands", "split_options", "split_word"]


def split_commands(line: str) -> list[str]:
    """Split a line at `;`, but not within quotes.

    `*` makes the rest of the line a comment, `$$` up to the next `;`. `$><FILE` takes the rest.
    """
    commands: list[str] = []
    rest = line.strip()
    while rest:
        if rest.startswith("*"):
            break
        if rest.startswith(("$>", "$<")):
            commands.append(rest)
            break
        piece, rest = _until_semicolon(rest)
        piece = piece.strip()
        rest = rest.lstrip()
        if piece and not piece.startswith("$$"):
            commands.append(piece)
    return commands


def _until_semicolon(text: str) -> tuple[str, str]:
    is_quoted = False
    for at, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif character == ";" and not is_quoted:
            return text[:at], text[at + 1 :]
    return text, ""


def split_options(arguments: str) -> tuple[list[str], str]:
    """Take the options (`/f`, `-r2`) off the front."""
    options: list[str] = []
    rest = arguments.strip()
    while found := re.match(r"([/-][A-Za-z?][\w?]*)(\s+|$)", rest):
        options.append(found.group(1)[1:])
        rest = rest[found.end() :]
    return options, rest


def split_word(arguments: str) -> tuple[str, str]:
    """The first word, without its quotes, and the rest."""
    text = arguments.strip()
    if text.startswith('"'):
        word, _, rest = text[1:].partition('"')
        return word, rest.strip()
    word, _, rest = text.partition(" ")
    return word, rest.strip()
