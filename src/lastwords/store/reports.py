"""The rows of reports: accepting, finding, completing them; `Store` gives the transactions."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from lastwords.store.queue import add_jobs
from lastwords.store.records import (
    AcceptedReport,
    BlobKind,
    Found,
    NewBlob,
    NewReport,
    Note,
    NoteOutcome,
    Outcome,
    ReportBlob,
    ReportFilter,
    ReportState,
    StoredReport,
)
from lastwords.store.schema import annotation, blob, report, report_blob, report_note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, RowMapping

__all__ = [
    "accept",
    "add_blobs",
    "annotations_of",
    "blobs_of",
    "by_id",
    "fill",
    "has_blob",
    "matching",
    "notes_of",
    "write_outcome",
]

_STORED_COLUMNS = tuple(report.c[field.name] for field in fields(StoredReport))
_FOUND = tuple(field.name for field in fields(Found))


def accept(connection: Connection, new: Sequence[NewReport]) -> list[AcceptedReport]:
    """Insert reports with their parts and jobs, but for those that were delivered before.

    A few statements for all of them together: this is the hot path of the collector.
    """
    known = _known_identities(connection, new)
    fresh: list[NewReport] = []
    answers: list[AcceptedReport] = []
    for one in new:
        first_id = None if one.identity is None else known.get(one.identity)
        answers.append(
            AcceptedReport(report_id=first_id or one.report_id, is_duplicate=first_id is not None)
        )
        if first_id is None:
            fresh.append(one)
            if one.identity is not None:
                known[one.identity] = one.report_id
    for one in new:
        add_blobs(connection, one.blobs, one.received)
    if fresh:
        connection.execute(insert(report), [_report_row(one) for one in fresh])
        _refer(connection, [(one.report_id, blob) for one in fresh for blob in one.blobs])
        _annotate(connection, [(one.report_id, *pair) for one in fresh for pair in one.annotations])
        add_jobs(connection, [(one.report_id, one.received) for one in fresh])
    return answers


def _known_identities(connection: Connection, new: Sequence[NewReport]) -> dict[str, str]:
    identities = {one.identity for one in new if one.identity is not None}
    if not identities:
        return {}
    query = select(report.c.identity, report.c.id).where(report.c.identity.in_(identities))
    return {row.identity: row.id for row in connection.execute(query)}


def _report_row(new: NewReport) -> dict[str, Any]:
    dumps = [one.sha256 for one in new.blobs if one.kind is BlobKind.DUMP]
    return {
        "id": new.report_id,
        "identity": new.identity,
        "client_report_id": new.client_report_id,
        "received": new.received,
        "product": new.product,
        "version": new.version,
        "client_id": new.client_id,
        "state": ReportState.RECEIVED.value,
        "dump_sha256": dumps[0] if dumps else None,
    }


def add_blobs(connection: Connection, blobs: Sequence[NewBlob], now: datetime) -> None:
    """Make kept blobs known; those that no report comes to refer to are removed some time later."""
    rows = [{"sha256": one.sha256, "size_bytes": one.size_bytes, "created": now} for one in blobs]
    if rows:
        connection.execute(insert_or(blob).on_conflict_do_nothing(), rows)


def has_blob(connection: Connection, sha256: str) -> bool:
    """Whether a blob is known."""
    known = connection.scalar(select(blob.c.sha256).where(blob.c.sha256 == sha256))
    return known is not None


def by_id(connection: Connection, report_id: str) -> StoredReport | None:
    """Return one report; `None` if unknown."""
    query = select(*_STORED_COLUMNS).where(report.c.id == report_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _stored(row)


def matching(connection: Connection, where: ReportFilter | None, limit: int) -> list[StoredReport]:
    """Return reports that fulfil every condition, newest first."""
    rows = connection.execute(
        select(*_STORED_COLUMNS)
        .where(*_conditions(where or ReportFilter()))
        .order_by(report.c.received.desc(), report.c.id)
        .limit(limit)
    )
    return [_stored(row) for row in rows.mappings()]


def blobs_of(connection: Connection, report_id: str) -> list[ReportBlob]:
    """Return the files of a report."""
    rows = connection.execute(
        select(report_blob.c.kind, report_blob.c.name, blob.c.sha256, blob.c.size_bytes)
        .join(blob, blob.c.sha256 == report_blob.c.sha256)
        .where(report_blob.c.report_id == report_id)
        .order_by(report_blob.c.kind, report_blob.c.name)
    )
    return [
        ReportBlob(kind=BlobKind(kind), name=name, sha256=sha256, size_bytes=size_bytes)
        for kind, name, sha256, size_bytes in rows
    ]


def annotations_of(connection: Connection, report_id: str) -> list[tuple[str, str]]:
    """Return the text parts of a report."""
    rows = connection.execute(
        select(annotation.c.key, annotation.c.value)
        .where(annotation.c.report_id == report_id)
        .order_by(annotation.c.key)
    )
    return [(key, value) for key, value in rows]


def notes_of(connection: Connection, report_id: str) -> list[Note]:
    """Return the notes of the last run, in the order of the steps."""
    rows = connection.execute(
        select(report_note).where(report_note.c.report_id == report_id).order_by(report_note.c.id)
    )
    return [
        Note(
            step=row.step,
            outcome=NoteOutcome(row.outcome),
            code=row.code,
            message=row.message,
            at=row.at,
        )
        for row in rows
    ]


def fill(connection: Connection, report_id: str, found: Found) -> None:
    """Set the columns that are not `None`."""
    values = {name: getattr(found, name) for name in _FOUND}
    known = {name: value for name, value in values.items() if value is not None}
    if known:
        connection.execute(update(report).where(report.c.id == report_id).values(**known))


def write_outcome(
    connection: Connection,
    report_id: str,
    outcome: Outcome,
    new_blobs: Sequence[NewBlob],
    now: datetime,
) -> None:
    """Complete a report's row, and replace what an earlier run left; see `Outcome`."""
    fill(connection, report_id, outcome.found)
    connection.execute(
        update(report)
        .where(report.c.id == report_id)
        .values(state=outcome.state.value, state_reason=outcome.state_reason, processed=now)
    )
    connection.execute(delete(report_note).where(report_note.c.report_id == report_id))
    if outcome.notes:
        connection.execute(
            insert(report_note), [_note_row(report_id, one) for one in outcome.notes]
        )
    for kind in {one.kind for one in new_blobs}:
        connection.execute(
            delete(report_blob).where(
                report_blob.c.report_id == report_id, report_blob.c.kind == kind.value
            )
        )
    _refer(connection, [(report_id, one) for one in new_blobs])
    if outcome.annotations is not None:
        connection.execute(delete(annotation).where(annotation.c.report_id == report_id))
        _annotate(connection, [(report_id, *pair) for pair in outcome.annotations])


def _refer(connection: Connection, blobs: Sequence[tuple[str, NewBlob]]) -> None:
    rows = [
        {"report_id": report_id, "kind": one.kind.value, "name": one.name, "sha256": one.sha256}
        for report_id, one in blobs
    ]
    if rows:
        connection.execute(insert(report_blob), rows)


def _annotate(connection: Connection, pairs: Sequence[tuple[str, str, str]]) -> None:
    if pairs:
        rows = [{"report_id": one, "key": key, "value": value} for one, key, value in pairs]
        connection.execute(insert(annotation), rows)


def _conditions(where: ReportFilter) -> list[ColumnElement[bool]]:
    equals = (
        (report.c.issue_id, where.issue_id),
        (report.c.product, where.product),
        (report.c.version, where.version),
        (report.c.state, None if where.state is None else where.state.value),
        (report.c.client_report_id, where.client_report_id),
    )
    conditions = [column == wanted for column, wanted in equals if wanted is not None]
    if where.received_before is not None:
        conditions.append(report.c.received < where.received_before)
    return conditions


def _note_row(report_id: str, note: Note) -> dict[str, Any]:
    return {
        "report_id": report_id,
        "step": note.step,
        "outcome": note.outcome.value,
        "code": note.code,
        "message": note.message,
        "at": note.at,
    }


def _stored(row: RowMapping) -> StoredReport:
    values = dict(row)
    values["state"] = ReportState(values["state"])
    return StoredReport(**values)
