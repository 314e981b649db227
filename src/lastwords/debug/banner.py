"""What a session says when it has opened a dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.debug.code_text import current_instruction
from lastwords.debug.commands.modules import path_lines
from lastwords.debug.commands.process import target_lines
from lastwords.debug.commands.registers import event_text
from lastwords.debug.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__ = ["banner_lines"]

_KINDS = {
    "full": "Full memory: all memory that could be read is available",
    "mini": "Only registers, stack and portions of memory are available",
    "triage": "Only registers, stacks and lists are available; texts were left out",
}


def banner_lines(debugger: Debugger) -> Iterable[str]:
    """The dump, its comment, where symbols come from, the system, the exception."""
    about = debugger.target.about
    yield "lastwords debug, in the command language of cdb (.help)"
    yield ""
    yield f"Loading Dump File [{about['path']}]"
    kind = about["kind"]["kind"]
    yield f"User Mini Dump File ({kind}): {_KINDS.get(kind, 'what it lacks is told by .dumpdebug')}"
    yield ""
    for comment in about["kind"]["comments"]:
        yield f"Comment: '{comment}'"
    yield from path_lines(debugger)
    yield f"Source search path is: {debugger.source_path or '*** none ***'}"
    yield from target_lines(debugger)
    yield "." * min(len(debugger.target.modules), 512)
    yield from _exception(debugger)


def _exception(debugger: Debugger) -> Iterable[str]:
    record = debugger.target.exception
    if record is not None:
        pid = debugger.target.about["process_id"]
        ids = f"{pid:x}.{record['thread_id']:x}" if pid is not None else f"{record['thread_id']:x}"
        yield "This dump file has an exception of interest stored in it."
        yield "The stored exception information can be accessed via .ecxr."
        yield f"({ids}): {event_text(debugger)}"
        yield "For analysis of this file, run !analyze -v"
    for problem in debugger.target.about["soft_errors"]:
        yield f"*** {problem['where']}: {problem['message']}"
    try:
        yield from current_instruction(debugger, debugger.frame())
    except Problem as problem:
        yield str(problem)
