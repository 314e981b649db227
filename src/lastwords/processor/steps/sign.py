"""Makes the signature and its keys from what the earlier steps found."""

from __future__ import annotations

from lastwords.processor.work import StepResult, Work
from lastwords.signature import from_report, sign
from lastwords.store import NoteOutcome

__all__ = ["run"]


def run(work: Work) -> StepResult:
    """Set `work.signature`; even a report without a stack gets one, from its reason."""
    work.signature = sign(from_report(work.report_document or {}, work.analysis_document))
    outcome = NoteOutcome.DONE if work.signature.has_stack else NoteOutcome.PARTIAL
    return StepResult(
        outcome=outcome,
        code=None if work.signature.has_stack else "no_stack",
        message=f"{work.signature.text} (quality {work.signature.quality:.2f})",
    )
