"""The rows of issues: finding them with their counts, and putting reports into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from lastwords.errors import StoreError
from lastwords.store.records import Assignment, GroupingKey, Issue, IssueStatus
from lastwords.store.schema import issue, issue_key, report, report_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

__all__ = ["assign", "matching", "set_status"]

_COLUMNS = (
    "id",
    "signature",
    "title",
    "status",
    "first_seen",
    "last_seen",
    "first_version",
    "last_version",
)


def matching(
    connection: Connection,
    *,
    issue_id: int | None,
    status: IssueStatus | None,
    product: str | None,
    limit: int,
) -> list[Issue]:
    """Return issues with their counts, ranked by installations, reports, newest report."""
    without_client = func.max(case((report.c.client_id.is_(None), 1), else_=0))
    installations = func.count(report.c.client_id.distinct()) + func.coalesce(
        without_client.filter(report.c.id.is_not(None)), 0
    )
    reports = func.count(report.c.id)
    query = (
        select(
            *(issue.c[name] for name in _COLUMNS),
            reports.label("reports"),
            installations.label("installations"),
        )
        .select_from(issue.join(report, report.c.issue_id == issue.c.id, isouter=product is None))
        .group_by(issue.c.id)
        .order_by(installations.desc(), reports.desc(), issue.c.last_seen.desc(), issue.c.id)
        .limit(limit)
    )
    if issue_id is not None:
        query = query.where(issue.c.id == issue_id)
    if status is not None:
        query = query.where(issue.c.status == status.value)
    if product is not None:
        query = query.where(report.c.product == product)
    return [_issue(row) for row in connection.execute(query).mappings()]


def assign(
    connection: Connection,
    report_id: str,
    keys: Sequence[GroupingKey],
    *,
    signature: str,
    title: str,
) -> Assignment:
    """Put a report into an issue by its keys; see `Store.assign_issue`."""
    found = connection.execute(
        select(report.c.received, report.c.version).where(report.c.id == report_id)
    )
    row = found.mappings().first()
    if row is None:
        raise StoreError("report_unknown", f"there is no report {report_id!r}", None)
    issue_id = _first_known(connection, keys)
    is_new = issue_id is None
    if issue_id is None:
        issue_id = _create(connection, row, signature=signature, title=title)
    else:
        _extend(connection, issue_id, row)
    for key in keys:
        connection.execute(
            insert_or(issue_key)
            .values(kind=key.kind, hash=key.hash, issue_id=issue_id)
            .on_conflict_do_nothing()
        )
        connection.execute(
            insert_or(report_key)
            .values(report_id=report_id, kind=key.kind, hash=key.hash)
            .on_conflict_do_nothing()
        )
    connection.execute(
        update(report)
        .where(report.c.id == report_id)
        .values(issue_id=issue_id, signature=signature)
    )
    return Assignment(issue_id=issue_id, is_new=is_new)


def set_status(connection: Connection, issue_id: int, status: IssueStatus) -> bool:
    """Change a status; `False` if there is no such issue."""
    changed = connection.execute(
        update(issue).where(issue.c.id == issue_id).values(status=status.value)
    )
    return changed.rowcount == 1


def _first_known(connection: Connection, keys: Sequence[GroupingKey]) -> int | None:
    for key in keys:
        known = connection.scalar(
            select(issue_key.c.issue_id).where(
                issue_key.c.kind == key.kind, issue_key.c.hash == key.hash
            )
        )
        if known is not None:
            return int(known)
    return None


def _create(connection: Connection, first: RowMapping, *, signature: str, title: str) -> int:
    created = connection.execute(
        insert(issue)
        .returning(issue.c.id)
        .values(
            signature=signature,
            title=title,
            status=IssueStatus.NEW.value,
            first_seen=first["received"],
            last_seen=first["received"],
            first_version=first["version"],
            last_version=first["version"],
        )
    )
    return int(created.scalar_one())


def _extend(connection: Connection, issue_id: int, newer: RowMapping) -> None:
    """Widen the span of an issue; reports can be processed in another order than received."""
    connection.execute(
        update(issue)
        .where(issue.c.id == issue_id, issue.c.last_seen <= newer["received"])
        .values(last_seen=newer["received"], last_version=newer["version"])
    )
    connection.execute(
        update(issue)
        .where(issue.c.id == issue_id, issue.c.first_seen > newer["received"])
        .values(first_seen=newer["received"], first_version=newer["version"])
    )


def _issue(row: RowMapping) -> Issue:
    values = dict(row)
    values["status"] = IssueStatus(values["status"])
    return Issue(**values)
