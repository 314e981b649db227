"""Reads `report.json` and fills columns from it; what the delivery itself said comes first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lastwords.errors import StoreError
from lastwords.processor.work import StepResult, Work
from lastwords.report.crash_report import CrashReport
from lastwords.store import BlobKind, Found, NoteOutcome

if TYPE_CHECKING:
    from lastwords.store import ReportBlob

__all__ = ["run"]

_MAX_BYTES = 8 << 20
_COLUMN_CHARACTERS = 200


def run(work: Work) -> StepResult:
    """Decode the report's document into `work.report_document` and describe it in columns."""
    blobs = work.store.report_blobs(work.report.id)
    blob = next((one for one in blobs if one.kind is BlobKind.REPORT_JSON), None)
    if blob is None:
        return StepResult(outcome=NoteOutcome.SKIPPED, message="the delivery holds no report.json")
    problem = _read(work, blob)
    if problem is not None:
        return problem
    document = CrashReport.from_json(work.report_document or {})
    work.found = _found(document, work)
    malformed = [one.where for one in document.soft_errors if one.code == "report_field_malformed"]
    if malformed:
        return StepResult(
            outcome=NoteOutcome.PARTIAL,
            code="report_field_malformed",
            message=f"{len(malformed)} fields of report.json are not as expected: {malformed[0]} …",
        )
    return StepResult(outcome=NoteOutcome.DONE, message="report.json was read")


def _read(work: Work, blob: ReportBlob) -> StepResult | None:
    """Set `work.report_document`; returns what went wrong, `None` if nothing did."""
    if blob.size_bytes > _MAX_BYTES:
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="report_json_too_large",
            message=f"report.json has {blob.size_bytes} bytes; at most {_MAX_BYTES} are read",
        )
    try:
        document = json.loads(work.store.read_blob(blob.sha256))
    except StoreError as error:
        return StepResult(outcome=NoteOutcome.FAILED, code=error.code, message=error.message)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return StepResult(
            outcome=NoteOutcome.FAILED,
            code="report_json_malformed",
            message="report.json is not one JSON object",
        )
    work.report_document = document
    return None


def _found(document: CrashReport, work: Work) -> Found:
    stored = work.report
    mechanism, system, exception = document.mechanism, document.system, document.exception
    found = Found(
        product=stored.product or _column(document.product),
        version=stored.version or _column(document.version),
        client_id=stored.client_id or _column(document.client_id),
        client_report_id=stored.client_report_id or _column(document.report_id),
        created=_time(document.created),
        os=_column(system.os) if system else None,
        arch=_column(system.arch) if system else None,
        mechanism=_column(mechanism.type) if mechanism else None,
        crash_reason=_column(exception.type) if exception else None,
    )
    if mechanism is not None and mechanism.end is not None:
        return replace(found, crash_reason=_column(f"abnormal end: {mechanism.end.cause}"))
    signal = mechanism.signal if mechanism else None
    if signal is None:
        return found
    return replace(found, crash_reason=_column(signal.name), crash_address=_column(signal.address))


def _column(text: str | None) -> str | None:
    return text[:_COLUMN_CHARACTERS] if text else None


def _time(text: str | None) -> datetime | None:
    """Parse RFC 3339; `None` when it is something else or has no zone."""
    try:
        time = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        return time.astimezone(timezone.utc) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None
