"""Puts the report into an issue by its signature's keys."""

from __future__ import annotations

from lastwords.processor.work import StepResult, Work
from lastwords.store import NoteOutcome
from lastwords.triage import assign

__all__ = ["run"]


def run(work: Work) -> StepResult:
    """Let triage assign the report; without a signature there is nothing to group by."""
    if work.signature is None:
        return StepResult(
            outcome=NoteOutcome.SKIPPED, code="no_signature", message="there is no signature"
        )
    work.store.fill_report(work.report.id, work.found)  # triage goes by product and version
    assignment = assign(work.store, work.report.id, work.signature)
    what = "a new issue:" if assignment.is_new else "issue"
    return StepResult(outcome=NoteOutcome.DONE, message=f"{what} {assignment.issue_id}")
