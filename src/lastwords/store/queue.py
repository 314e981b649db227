"""The job rows: written with the report, claimed under a lease, ended with the outcome.

A worker that dies keeps its job until the lease ends; `release_leases` gives the jobs of a whole
process tree back at once when that tree starts again. An attempt is counted when the job is
claimed, so a job that kills its worker every time also comes to an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from lastwords.store.records import Job, ReportState
from lastwords.store.schema import job, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

__all__ = [
    "add_jobs",
    "claim_job",
    "end_job",
    "queue_depth",
    "release_job",
    "release_leases",
    "retry_job",
]


def add_jobs(
    connection: Connection, reports: Sequence[tuple[str, datetime]], *, queue: str = "process"
) -> None:
    """Queue reports, each from a time on; does nothing for those that are in this queue already."""
    rows = [
        {
            "report_id": report_id,
            "queue": queue,
            "priority": 0 if queue == "process" else 10,
            "available_at": available_at,
            "attempts": 0,
        }
        for report_id, available_at in reports
    ]
    connection.execute(insert_or(job).on_conflict_do_nothing(), rows)


def claim_job(connection: Connection, owner: str, now: datetime, lease: timedelta) -> Job | None:
    """Take the next job, mark its report as being processed; `None` when nothing is ready."""
    row = connection.execute(
        select(job)
        .where(
            job.c.available_at <= now,
            or_(job.c.lease_until.is_(None), job.c.lease_until <= now),
        )
        .order_by(job.c.priority, job.c.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    until = now + lease
    connection.execute(
        update(job)
        .where(job.c.id == row.id)
        .values(lease_owner=owner, lease_until=until, attempts=row.attempts + 1)
    )
    _mark(connection, row.report_id, ReportState.PROCESSING)
    return Job(
        id=row.id,
        report_id=row.report_id,
        queue=row.queue,
        attempts=row.attempts + 1,
        lease_owner=owner,
        claimed_at=now,
        lease_until=until,
        last_error=row.last_error,
    )


def end_job(connection: Connection, claimed: Job) -> bool:
    """Remove a job; `False` when another worker has taken it since (then change nothing else)."""
    ended = connection.execute(delete(job).where(_is_still(claimed)))
    return ended.rowcount == 1


def retry_job(connection: Connection, claimed: Job, error: str, available_at: datetime) -> bool:
    """Give a job back for a later attempt; `False` when another worker has taken it since."""
    given_back = connection.execute(
        update(job)
        .where(_is_still(claimed))
        .values(lease_owner=None, lease_until=None, last_error=error, available_at=available_at)
    )
    if given_back.rowcount != 1:
        return False
    _mark(connection, claimed.report_id, ReportState.RECEIVED)
    return True


def release_job(connection: Connection, claimed: Job) -> None:
    """Give a job back as if it had not been claimed."""
    given_back = connection.execute(
        update(job)
        .where(_is_still(claimed))
        .values(lease_owner=None, lease_until=None, attempts=claimed.attempts - 1)
    )
    if given_back.rowcount == 1:
        _mark(connection, claimed.report_id, ReportState.RECEIVED)


def release_leases(connection: Connection) -> int:
    """Give back every claimed job; only for a process that knows that no worker lives."""
    released = connection.execute(
        update(job).where(job.c.lease_owner.is_not(None)).values(lease_owner=None, lease_until=None)
    )
    return released.rowcount


def queue_depth(connection: Connection) -> int:
    """Count the jobs that are not ended."""
    return int(connection.scalar(select(func.count()).select_from(job)) or 0)


def _mark(connection: Connection, report_id: str, state: ReportState) -> None:
    connection.execute(update(report).where(report.c.id == report_id).values(state=state.value))


def _is_still(claimed: Job) -> ColumnElement[bool]:
    return and_(
        job.c.id == claimed.id,
        job.c.lease_owner == claimed.lease_owner,
        job.c.attempts == claimed.attempts,
    )
