"""Threads: `~` and what may stand before and behind it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lastwords.debug.code_text import current_instruction
from lastwords.debug.commands.stack import thread_header
from lastwords.debug.expression import evaluate
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__ = ["threads"]

_THEME = "Threads"


@command(
    "~",
    usage="[N|*|.|#|~[ID]] [s|COMMAND]",
    summary="list threads; ~2s chooses one, ~2k and ~*kb run a command for them",
    example="~*k",
    theme=_THEME,
)
def threads(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """List or choose threads, or run a command for each."""
    which, rest = _which(debugger, arguments)
    if which is None:
        which = [debugger.thread] if rest else list(range(len(debugger.target.threads)))
        is_many = False
    else:
        is_many = len(which) != 1 or arguments.startswith("*")
    if not debugger.target.threads:
        raise Problem("The dump has no list of threads. A dump of any kind would have one.")
    if not rest:
        for index in which:
            yield thread_header(debugger, debugger.target.threads[index])
        return
    if rest == "s":
        debugger.choose_thread(which[0])
        yield from current_instruction(debugger, debugger.frame())
        return
    if re.fullmatch(r"[fumn]", rest):
        raise Problem("This is a dump: no thread of it can be frozen, or run. Choose one: ~2s")
    rest = re.sub(r"^e\s+", "", rest)
    yield from _for_each(debugger, which, rest, is_many=is_many)


def _which(debugger: Debugger, text: str) -> tuple[list[int] | None, str]:
    """The threads that a prefix names; `None` for no prefix."""
    count = len(debugger.target.threads)
    if text.startswith("*"):
        return list(range(count)), text[1:].strip()
    if text.startswith("."):
        return [debugger.thread], text[1:].strip()
    if text.startswith("#"):
        if debugger.target.exception is None or debugger.target.exception["thread"] is None:
            raise missing("exception")
        return [debugger.target.exception["thread"]], text[1:].strip()
    if found := re.match(r"~\[([^\]]+)\]", text):
        wanted = evaluate(found.group(1), debugger)
        for thread in debugger.target.threads:
            if thread.id == wanted:
                return [thread.index], text[found.end() :].strip()
        raise Problem(f"Illegal thread error: there is no thread with the id {wanted:#x}")
    if found := re.match(r"\d+", text):
        number = int(found.group())
        if number >= count:
            raise Problem(f"Illegal thread error: there are threads 0 to {count - 1}")
        return [number], text[found.end() :].strip()
    return None, text


def _for_each(debugger: Debugger, which: list[int], text: str, *, is_many: bool) -> Iterable[str]:
    kept = (debugger.thread, debugger.frame_number, debugger.is_exception_context)
    try:
        for index in which:
            if is_many:
                yield ""
                yield thread_header(debugger, debugger.target.threads[index])
            if index != debugger.thread:
                debugger.choose_thread(index)
            try:
                yield from debugger.start(text)
            except Problem as problem:
                yield str(problem)
            debugger.thread, debugger.frame_number, debugger.is_exception_context = kept
    finally:
        debugger.thread, debugger.frame_number, debugger.is_exception_context = kept


@command(
    ".thread",
    usage="",
    summary="back to the chosen thread's own registers",
    example=".thread",
    theme=_THEME,
)
def reset_thread(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """Leave the exception's registers."""
    debugger.is_exception_context = False
    debugger.frame_number = None
    thread = debugger.current_thread()
    yield f"Implicit thread is now {thread.index} (id {thread.id:x})"


@command(
    ".cxr",
    usage="",
    summary="back to the chosen thread's own registers, as .thread",
    example=".cxr",
    theme=_THEME,
)
def reset_context(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Leave the exception's registers."""
    if arguments:
        raise Problem(
            "Registers at an address are not supported; .ecxr takes those of the exception"
        )
    debugger.is_exception_context = False
    debugger.frame_number = None
    yield "Resetting default scope"


@command(
    "!runaway",
    usage="",
    summary="processor time of each thread",
    example="!runaway",
    theme=_THEME,
)
def runaway(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """Threads by the time that they used."""
    timed = [t for t in debugger.target.threads if t.facts["times"]]
    if not timed:
        raise missing("thread_times")
    yield " User Mode Time"
    yield "  Thread       Time"
    for thread in sorted(timed, key=lambda t: -(t.facts["times"]["user_s"] or 0)):
        seconds = thread.facts["times"]["user_s"] or 0
        days, left = divmod(seconds, 86400)
        hours, left = divmod(left, 3600)
        minutes, left = divmod(left, 60)
        clock = f"{int(days)} days {int(hours)}:{int(minutes):02d}:{left:06.3f}"
        yield f"   {thread.index}:{thread.id:<8x} {clock}"
