"""Analyses the dump, in a child process: `lastwords analyze --json`, and nothing else, reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lastwords.processor.isolate import ChildEnd, run_child
from lastwords.processor.work import StepResult, Stopped, Work
from lastwords.store import NoteOutcome

if TYPE_CHECKING:
    from lastwords.processor.isolate import ChildResult
    from lastwords.store import Found

__all__ = ["run"]

_INPUT_NOT_READABLE = 3
_COLUMN_CHARACTERS = 200


def run(work: Work) -> StepResult:
    """Set `work.analysis_document`; that a dump cannot be read is a fact, not a failure."""
    dump = work.dump_path
    if dump is None:
        return StepResult(outcome=NoteOutcome.SKIPPED, message="the delivery holds no dump")
    try:
        child = run_child([*_command(work), str(dump)], work.settings.limits, work.interrupt)
    except OSError as error:
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="child_not_started",
            message=f"the analysis could not be started: {error.strerror}",
            is_transient=True,
            is_fatal=True,
        )
    if child.end is ChildEnd.INTERRUPTED:
        raise Stopped
    if child.end is not ChildEnd.EXITED or child.exit_status != 0:
        return _failed(child, str(dump))
    document = _decode(child.output)
    if document is None:
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="analysis_malformed",
            message="the analysis did not print one JSON object",
            is_fatal=True,
        )
    work.analysis_document = document
    work.found = _found(document, work.found)
    return _done(document, child)


def _command(work: Work) -> list[str]:
    settings = work.settings
    symbols = [item for path in settings.symbols for item in ("--symbols", path)]
    local = [] if settings.is_local_allowed else ["--no-local-modules"]
    cache = ["--cache-dir", settings.symbol_cache] if settings.symbol_cache else ["--no-cache"]
    return [*settings.analyze_command, "--json", *local, *cache, *symbols]


def _failed(child: ChildResult, path: str) -> StepResult:
    reason = _first_line(child.error_text).replace(path, "the dump")
    if child.end is ChildEnd.EXITED and child.exit_status == _INPUT_NOT_READABLE:
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="dump_not_readable",
            message=reason or "the dump cannot be read",
        )
    is_killed_from_outside = child.end is ChildEnd.SIGNALLED and child.signal_number == 9
    return StepResult(
        outcome=NoteOutcome.FAILED,
        code=f"analysis_{child.end.value}",
        message="the analysis failed: " + child.description + (f": {reason}" if reason else ""),
        is_transient=is_killed_from_outside,  # most likely by the kernel, which ran out of memory
        is_fatal=True,
    )


def _first_line(text: str) -> str:
    """Return the line that says what went wrong: the error of the verb, or the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines[-1:] or [""])[0][:500]


def _decode(output: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _done(document: dict[str, Any], child: ChildResult) -> StepResult:
    missing = document.get("soft_errors")
    if isinstance(missing, list) and missing:
        return StepResult(
            outcome=NoteOutcome.PARTIAL,
            code="analysis_partial",
            message=f"analysed in {child.took_s:.2f} s; {len(missing)} things could not be had",
        )
    return StepResult(outcome=NoteOutcome.DONE, message=f"analysed in {child.took_s:.2f} s")


def _found(document: dict[str, Any], found: Found) -> Found:
    """Complete the columns: what the dump says about the crash beats what the client said."""
    crash = document.get("crash_info")
    system = document.get("system_info")
    crash = crash if isinstance(crash, dict) else {}
    system = system if isinstance(system, dict) else {}
    return replace(
        found,
        crash_reason=_reason(crash) or found.crash_reason,
        crash_address=_text(crash.get("address")) or found.crash_address,
        os=found.os or _text(system.get("os")),
        arch=found.arch or _text(system.get("cpu_arch")),
    )


def _reason(crash: dict[str, Any]) -> str | None:
    """The crash reason; a full stack is named where the system's own words do not name it."""
    reason = _text(crash.get("type"))
    is_full = isinstance(crash.get("stack_overflow"), dict)
    if reason and is_full and "STACK_OVERFLOW" not in reason:
        return _text(f"{reason}, stack overflow")
    return reason


def _text(value: object) -> str | None:
    return value[:_COLUMN_CHARACTERS] if isinstance(value, str) and value else None
