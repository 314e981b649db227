"""Which issue matters most, and the figures that stand beside it.

Installations count, not reports: one machine that crashes all day must not hide what many meet.
Dumps that somebody asked for are no crashes: they come last, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, func, select, type_coerce

from lastwords.signature import REQUESTED
from lastwords.store import Issue, IssueStatus
from lastwords.store.schema import report
from lastwords.triage.versions import version_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from lastwords.store import Store

__all__ = [
    "DAYS",
    "UNRESOLVED",
    "IssueFacts",
    "RankedIssue",
    "VersionCount",
    "issue_facts",
    "ranked_issues",
]

DAYS = 14
"""Days that the daily counts cover, today included."""

UNRESOLVED = (IssueStatus.NEW, IssueStatus.REGRESSED, IssueStatus.OPEN)
"""What still needs somebody."""

_DAY_US = 86_400_000_000
_MAX_GROUPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedIssue:
    """An issue in a list.

    Args:
        rank: 1 for the issue that most installations met.
        issue: The stored issue with its counts.
        versions: Product versions of its reports, newest first.
        days: Reports per day (UTC), oldest first; the last is today.
    """

    rank: int
    issue: Issue
    versions: tuple[str, ...]
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCount:
    """How often an issue was met on one version, operating system or the like; `None` = unknown."""

    name: str | None
    reports: int
    installations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueFacts:
    """What the reports of one issue have in common; at most 50 rows each, most reports first.

    Args:
        versions: By product version, newest first.
        systems: By operating system and architecture.
        products: By product.
        first_day: The day (UTC) of the first entry of `days`.
        days: As in `RankedIssue`.
    """

    versions: tuple[VersionCount, ...]
    systems: tuple[VersionCount, ...]
    products: tuple[VersionCount, ...]
    first_day: date
    days: tuple[int, ...]


def ranked_issues(
    store: Store,
    *,
    statuses: Iterable[IssueStatus] | None = None,
    product: str | None = None,
    limit: int = 100,
    now: datetime | None = None,
) -> list[RankedIssue]:
    """Return issues: most installations first, then most reports, then the newest report.

    Dumps on demand come after all others.

    Args:
        store: The store.
        statuses: Only these; `None` for all.
        product: Only reports of this product are counted, and issues without any are left out.
        limit: At most so many.
        now: End of the daily counts; the present by default.
    """
    found: list[Issue] = []
    for status in (None,) if statuses is None else tuple(statuses):
        found.extend(store.issues(status=status, product=product, limit=limit))
    found.sort(key=lambda one: one.id)
    found.sort(key=lambda one: (one.installations, one.reports, one.last_seen), reverse=True)
    found.sort(key=lambda one: one.signature.startswith(REQUESTED))
    found = found[:limit]
    ids = [one.id for one in found]
    with store.db.read() as connection:
        versions = _versions(connection, ids, product)
        days = _days(connection, ids, product, _first_day(now))
    return [
        RankedIssue(
            rank=rank,
            issue=one,
            versions=tuple(versions.get(one.id, ())),
            days=tuple(days.get(one.id, [0] * DAYS)),
        )
        for rank, one in enumerate(found, start=1)
    ]


def issue_facts(store: Store, issue_id: int, *, now: datetime | None = None) -> IssueFacts:
    """Count the reports of one issue by what they have in common; all empty if it is unknown."""
    first_day = _first_day(now)
    with store.db.read() as connection:
        versions = _counts(connection, issue_id, (report.c.version,))
        systems = _counts(connection, issue_id, (report.c.os, report.c.arch))
        products = _counts(connection, issue_id, (report.c.product,))
        days = _days(connection, [issue_id], None, first_day)
    versions.sort(key=lambda one: version_order(one.name or ""), reverse=True)
    return IssueFacts(
        versions=tuple(versions),
        systems=tuple(systems),
        products=tuple(products),
        first_day=first_day.date(),
        days=tuple(days.get(issue_id, [0] * DAYS)),
    )


def _first_day(now: datetime | None) -> datetime:
    today = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    start = today.replace(hour=0, minute=0, second=0, microsecond=0)
    return start - timedelta(days=DAYS - 1)


def _versions(
    connection: Connection, ids: Sequence[int], product: str | None
) -> dict[int, list[str]]:
    query = (
        select(report.c.issue_id, report.c.version)
        .where(report.c.issue_id.in_(ids), report.c.version.is_not(None))
        .distinct()
    )
    if product is not None:
        query = query.where(report.c.product == product)
    versions: dict[int, list[str]] = {}
    for issue_id, version in connection.execute(query):
        versions.setdefault(issue_id, []).append(version)
    for names in versions.values():
        names.sort(key=version_order, reverse=True)
    return versions


def _days(
    connection: Connection, ids: Sequence[int], product: str | None, first_day: datetime
) -> dict[int, list[int]]:
    day = type_coerce(report.c.received, BigInteger) // _DAY_US
    query = (
        select(report.c.issue_id, day.label("day"), func.count().label("reports"))
        .where(report.c.issue_id.in_(ids), report.c.received >= first_day)
        .group_by(report.c.issue_id, day)
    )
    if product is not None:
        query = query.where(report.c.product == product)
    start = int(first_day.timestamp()) // 86_400
    days: dict[int, list[int]] = {}
    for issue_id, number, count in connection.execute(query):
        if 0 <= number - start < DAYS:
            days.setdefault(issue_id, [0] * DAYS)[number - start] = count
    return days


def _counts(connection: Connection, issue_id: int, columns: Sequence[object]) -> list[VersionCount]:
    reports = func.count().label("reports")
    query = (
        select(*columns, reports, func.count(report.c.client_id.distinct()))  # type: ignore[call-overload]  # columns of one table
        .where(report.c.issue_id == issue_id)
        .group_by(*columns)
        .order_by(reports.desc())
        .limit(_MAX_GROUPS)
    )
    counts = []
    for *names, count, installations in connection.execute(query):
        known = [name for name in names if name]
        counts.append(
            VersionCount(
                name=" ".join(known) or None, reports=count, installations=max(installations, 1)
            )
        )
    return counts
