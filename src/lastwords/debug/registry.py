"""The table of commands: name, arguments, one line of help, one example."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.debug.debugger import Debugger

__all__ = ["COMMANDS", "Command", "command", "find", "near"]

Run = Callable[["Debugger", str, str], Iterable[str]]
"""Debugger, the name as it was typed, the rest of the command; gives lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        names: As typed; the first one is the main one.
        usage: Its arguments.
        summary: One line.
        example: Something to type.
        theme: Where `.help` lists it.
        run: What it does.
    """

    names: tuple[str, ...]
    usage: str
    summary: str
    example: str
    theme: str
    run: Run


COMMANDS: dict[str, Command] = {}
"""Every name and its command."""


def command(
    *names: str, usage: str = "", summary: str, example: str, theme: str
) -> Callable[[Run], Run]:
    """Put a function into the table."""

    def put(run: Run) -> Run:
        entry = Command(
            names=names, usage=usage, summary=summary, example=example, theme=theme, run=run
        )
        for name in names:
            if name in COMMANDS:
                raise ValueError(f"the command {name} is there twice")
            COMMANDS[name] = entry
        return run

    return put


_FLAGGED = re.compile(r"(?:(k)[bcdDfFLMnNpPrsvt]+|(lm)[A-Za-z1]+)(?![A-Za-z_!])")
"""Commands whose flags are letters that stand directly behind them."""


def find(text: str) -> tuple[str, str] | None:
    """Split a command into the longest known name that it starts with, and the rest.

    Names of letters may stand directly before digits and signs (`k5`, `db@rsp`); a longer word is
    another command, but for those whose flags are letters (`lmvm`, `kbn`).
    """
    head = text.split(None, 1)[0] if text.strip() else ""
    flagged = _FLAGGED.match(text)
    if flagged and head not in COMMANDS:
        name = flagged.group(1) or flagged.group(2)
        return name, text[len(name) :].strip()
    for end in range(len(head), 0, -1):
        name = head[:end]
        for candidate in (name, name.lower()):
            if candidate in COMMANDS and _may_end_here(candidate, text[end : end + 1]):
                return candidate, text[end:].strip()
    return None


def _may_end_here(name: str, following: str) -> bool:
    if not following or following.isspace() or not name[-1].isalpha():
        return True
    if name[0] in ".!":
        return following in "/-+"
    return not following.isalpha() and following not in "_!"


def near(text: str) -> list[str]:
    """Names that look like an unknown one."""
    head = text.split(None, 1)[0] if text.strip() else text
    return difflib.get_close_matches(head.lower(), list(COMMANDS), n=3, cutoff=0.5)
