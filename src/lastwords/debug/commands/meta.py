"""The session itself: `.help`, `.echo`, logs, scripts, `q`; and what cannot be done on a dump."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lastwords.debug.problem import Problem
from lastwords.debug.registry import COMMANDS, command, near
from lastwords.debug.syntax import split_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__: list[str] = []

_THEME = "Session"
_MAX_SCRIPT_BYTES = 1 << 20


@command(
    ".help",
    ".hh",
    "!help",
    usage="[COMMAND]",
    summary="all commands, or all about one",
    example=".help dt",
    theme=_THEME,
)
def show_help(_: Debugger, __: str, arguments: str) -> Iterable[str]:
    """The table of commands."""
    word, _rest = split_word(arguments)
    if word and not word.startswith("/"):
        found = COMMANDS.get(word) or COMMANDS.get(f".{word}") or COMMANDS.get(f"!{word}")
        if found is None:
            names = ", ".join(near(word))
            raise Problem(
                f"There is no command '{word}'." + (f" Near it: {names}" if names else "")
            )
        yield f"{', '.join(found.names)} {found.usage}".rstrip()
        yield f"    {found.summary}"
        yield f"    Example: {found.example}"
        return
    theme = ""
    shown: set[int] = set()
    for entry in COMMANDS.values():
        if id(entry) in shown:
            continue
        shown.add(id(entry))
        if entry.theme != theme:
            theme = entry.theme
            yield ""
            yield f"{theme}:"
        names = " ".join(entry.names[:6]) + (" …" if len(entry.names) > 6 else "")
        yield f"  {names} {entry.usage}".rstrip()
        yield f"      {entry.summary}  Example: {entry.example}"
    yield ""
    yield "Several commands stand on one line with ; between. Numbers are hexadecimal: 0n10 is ten."


@command(
    ".echo",
    usage="TEXT",
    summary="write a text",
    example='.echo "--- stacks"',
    theme=_THEME,
)
def echo(_: Debugger, __: str, arguments: str) -> Iterable[str]:
    """Write a text."""
    yield (
        arguments[1:-1]
        if len(arguments) > 1 and arguments[0] == arguments[-1] == '"'
        else arguments
    )


@command(
    ".logopen",
    usage="[/t] [/u] FILE",
    summary="write everything that is shown to a file too",
    example=".logopen crash.txt",
    theme=_THEME,
)
def log_open(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Open a log."""
    yield from _open_log(debugger, name, arguments, mode="w")


@command(
    ".logappend",
    usage="FILE",
    summary="as .logopen, behind what the file holds",
    example=".logappend crash.txt",
    theme=_THEME,
)
def log_append(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Open a log at its end."""
    yield from _open_log(debugger, name, arguments, mode="a")


def _open_log(
    debugger: Debugger, name: str, arguments: str, *, mode: Literal["w", "a"]
) -> Iterable[str]:
    rest = re.sub(r"^(/[tu]\s+)+", "", arguments)
    path, _more = split_word(rest)
    if not path:
        raise Problem(f"A file is wanted: {name} crash.txt")
    _close(debugger)
    try:
        debugger.log = Path(path).open(mode, encoding="utf-8")  # noqa: SIM115  (until .logclose)
    except OSError as error:
        raise Problem(f"log file could not be opened: {path}: {error.strerror}") from error
    debugger.log_path = path
    yield f"Opened log file '{path}'"


def _close(debugger: Debugger) -> bool:
    if debugger.log is None:
        return False
    debugger.log.close()
    debugger.log = None
    return True


@command(
    ".logclose",
    usage="",
    summary="end the log",
    example=".logclose",
    theme=_THEME,
)
def log_close(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """End the log."""
    path = debugger.log_path
    if not _close(debugger):
        raise Problem("no log file open")
    yield f"Closing open log file {path}"


@command(
    "$><",
    "$<",
    "$$><",
    "$$<",
    usage="FILE",
    summary="run the commands of a file",
    example="$><triage.txt",
    theme=_THEME,
)
def script(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Run a script."""
    path = arguments.strip().strip('"')
    try:
        size = Path(path).stat().st_size
        if size > _MAX_SCRIPT_BYTES:
            raise Problem(
                f"Command file {path} has {size} bytes; at most {_MAX_SCRIPT_BYTES} are run"
            )
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise Problem(f"Command file execution failed, '{path}': {error.strerror}") from error
    debugger.run_script(text)
    return ()


@command(
    "q",
    "qq",
    "qd",
    usage="",
    summary="end",
    example="q",
    theme=_THEME,
)
def end(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """End the session."""
    debugger.is_ended = True
    _close(debugger)
    yield "quit:"


@command(
    "version",
    usage="",
    summary="what opened the dump, and the system of the dump",
    example="version",
    theme=_THEME,
)
def version(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """Versions."""
    yield f"lastwords {debugger.target.session.core_version}"
    yield from debugger.start("vertarget")


@command(
    "g", "gh", "gn", "gu", "p", "pc", "pt", "t", "tc", "bp", "bu", "bl", "bc", "ba", "wt",
    ".restart",
    usage="",
    summary="not here: a dump does not run",
    example="~*k",
    theme=_THEME,
)  # fmt: skip
def cannot_run(_: Debugger, name: str, __: str) -> Iterable[str]:
    """Say that nothing runs."""
    raise Problem(
        f"No runnable debuggees error in '{name}': this is a dump, no process. "
        "What it did: ~*k, and before it crashed: !analyze -v"
    )


@command(
    "e", "eb", "ew", "ed", "eq", "ea", "eu", "ep", ".writemem", "f",
    usage="",
    summary="not here: a dump is never changed",
    example="db @rsp",
    theme=_THEME,
)  # fmt: skip
def cannot_write(_: Debugger, name: str, __: str) -> Iterable[str]:
    """Say that nothing is changed."""
    raise Problem(f"'{name}' would change memory; a dump is never changed here. db shows it")
