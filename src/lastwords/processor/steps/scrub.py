"""Takes secrets out of what will be shown: not every client scrubs, and the rules get better.

Scrubbed are the annotations of the delivery, of `report.json` and of the dump, and the messages of
exceptions. `report.json` is replaced when that changed it; the analysis is stored by this step,
after it was scrubbed and never before. Dumps and attachments stay as they are: they are protected
as a whole.
"""

from __future__ import annotations

import json
from typing import Any

from lastwords.processor.work import StepResult, Work
from lastwords.report.scrub import scrub_text, scrub_value
from lastwords.store import BlobKind, NewDocument, NoteOutcome

__all__ = ["run"]

_MAX_CHAIN = 1000


def run(work: Work) -> StepResult:
    """Scrub in place and keep the results in `work`."""
    counts = [_scrub_delivery(work), _scrub_report(work), _scrub_analysis(work)]
    count = sum(counts)
    if work.analysis_document is not None:
        _keep(work, BlobKind.ANALYSIS, "analysis.json", work.analysis_document)
    if counts[1]:
        _keep(work, BlobKind.REPORT_JSON, "report.json", work.report_document)
    message = "nothing to scrub" if count == 0 else f"{count} values held what looks like a secret"
    return StepResult(outcome=NoteOutcome.DONE, message=message)


def _scrub_delivery(work: Work) -> int:
    before = work.store.annotations(work.report.id)
    after = tuple((key, str(scrub_value(key, value))) for key, value in before)
    changed = sum(old != new for old, new in zip(before, after, strict=True))
    if changed:
        work.new_annotations = after
    return changed


def _scrub_report(work: Work) -> int:
    document = work.report_document or {}
    return _scrub_pairs(document.get("annotations")) + _scrub_exception(document.get("exception"))


def _scrub_analysis(work: Work) -> int:
    document = work.analysis_document or {}
    python = document.get("python")
    exception = python.get("exception") if isinstance(python, dict) else None
    return _scrub_pairs(document.get("annotations")) + _scrub_exception(exception)


def _scrub_pairs(pairs: object) -> int:
    if not isinstance(pairs, dict):
        return 0
    count = 0
    for key, value in pairs.items():
        if isinstance(value, (str, int, float)):
            count += _replace(pairs, key, scrub_value(key, value))
    return count


def _scrub_exception(exception: object) -> int:
    """Scrub the messages of an exception and of what led to it."""
    waiting, count = [exception], 0
    for _ in range(_MAX_CHAIN):
        one = waiting.pop() if waiting else None
        if not isinstance(one, dict):
            if not waiting:
                break
            continue
        count += _scrub_message(one)
        waiting += [one.get("cause"), one.get("context")]
    return count


def _scrub_message(exception: dict[str, Any]) -> int:
    count = 0
    message, notes = exception.get("message"), exception.get("notes")
    if isinstance(message, str):
        count += _replace(exception, "message", scrub_text(message))
    if isinstance(notes, list):
        scrubbed = [scrub_text(note) if isinstance(note, str) else note for note in notes]
        count += _replace(exception, "notes", scrubbed)
    return count


def _replace(owner: dict[str, Any], key: str, value: object) -> int:
    if owner[key] == value:
        return 0
    owner[key] = value
    return 1


def _keep(work: Work, kind: BlobKind, name: str, document: dict[str, Any] | None) -> None:
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
    work.documents.append(NewDocument(kind=kind, name=name, content=content))
