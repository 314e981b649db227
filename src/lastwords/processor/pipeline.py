"""The ordered list of steps that make a processed report, and how they are run.

Every step gets the same `Work`, adds to it, and ends with a note. A step that fails leaves a note
too, and the next one works with what there is: a report is always partial.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lastwords.processor.steps import analysis, describe, group, scrub, sign
from lastwords.processor.work import StepResult, Stopped, Work
from lastwords.store import Note, NoteOutcome, Outcome, ReportState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["STEPS", "Processed", "Step", "process"]

_LOG = logging.getLogger("lastwords.processor")

Step = tuple[str, "Callable[[Work], StepResult]"]

STEPS: tuple[Step, ...] = (
    ("describe", describe.run),
    ("analysis", analysis.run),
    ("scrub", scrub.run),
    ("sign", sign.run),
    ("group", group.run),
)
"""Name and function, in the order in which they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """What came of one attempt: the outcome, or why another attempt is worth while."""

    outcome: Outcome | None
    retry_reason: str | None = None


def process(work: Work, *, is_last_attempt: bool, steps: Sequence[Step] = STEPS) -> Processed:
    """Run the steps over a report.

    A transient failure ends the attempt at once, unless it is the last one: what comes after would
    be made from too little, such as an issue for a crash without a stack.

    Raises:
        Stopped: the server stops.
    """
    notes: list[Note] = []
    failure: str | None = None
    for name, run in steps:
        result = _run_step(name, run, work)
        if result.is_transient and not is_last_attempt:
            return Processed(outcome=None, retry_reason=f"{name}: {result.message}")
        notes.append(_note(name, result))
        failure = failure or (f"{name}: {result.message}" if result.is_fatal else None)
    outcome = Outcome(
        state=ReportState.PROCESSED if failure is None else ReportState.FAILED,
        state_reason=failure,
        notes=tuple(notes),
        documents=tuple(work.documents),
        annotations=work.new_annotations,
        found=work.found,
    )
    return Processed(outcome=outcome)


def _run_step(name: str, run: Callable[[Work], StepResult], work: Work) -> StepResult:
    try:
        return run(work)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001  (border: a failing step never stops the rest)
        # What the error says may be personal data; its type and place are ours.
        place = _place(error)
        _LOG.error(  # without the traceback, whose last line shows the message
            "step failed",
            extra={"report_id": work.report.id, "step": name, "error": place},
        )
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="step_failed",
            message=f"the step failed with {place}: a defect of the server, please report it",
            is_fatal=True,
        )


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"


def _note(step: str, result: StepResult) -> Note:
    return Note(
        step=step,
        outcome=result.outcome,
        code=result.code,
        message=result.message,
        at=datetime.now(timezone.utc),
    )
