"""What several pages and the API ask of the store, and how addresses choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar.exceptions import ClientException
from sqlalchemy import func, select

from lastwords.store import IssueStatus, ReportFilter, ReportState
from lastwords.store.schema import report
from lastwords.triage import UNRESOLVED

if TYPE_CHECKING:
    from lastwords.store import Store, StoredReport

__all__ = [
    "STATUS_CHOICES",
    "chosen_state",
    "chosen_statuses",
    "products",
    "report_of",
    "report_states",
]

STATUS_CHOICES = ("unresolved", *(one.value for one in IssueStatus), "all")
"""What the parameter `status` may say; `unresolved` is new, open and regressed."""

_MAX_PRODUCTS = 100


def chosen_statuses(choice: str) -> tuple[IssueStatus, ...] | None:
    """Return the statuses of a choice; `None` for all. An unknown choice is a client's error."""
    if choice == "all":
        return None
    if choice == "unresolved":
        return UNRESOLVED
    try:
        return (IssueStatus(choice),)
    except ValueError:
        raise ClientException(detail=f"status must be one of {', '.join(STATUS_CHOICES)}") from None


def chosen_state(choice: str) -> ReportState | None:
    """Return the state of a choice; `None` for all. An unknown choice is a client's error."""
    if choice == "all":
        return None
    try:
        return ReportState(choice)
    except ValueError:
        names = ", ".join(["all", *(one.value for one in ReportState)])
        raise ClientException(detail=f"state must be one of {names}") from None


def report_of(store: Store, report_id: str) -> StoredReport | None:
    """Find a report by the server's id (also with `bp-`) or the client's; `None` if unknown."""
    found = store.report(report_id)
    if found is not None:
        return found
    sent = store.reports(ReportFilter(client_report_id=report_id), limit=1)
    return sent[0] if sent else None


def products(store: Store) -> list[str]:
    """Return the products that have sent reports, at most 100, by name."""
    query = (
        select(report.c.product)
        .where(report.c.product.is_not(None))
        .distinct()
        .order_by(report.c.product)
        .limit(_MAX_PRODUCTS)
    )
    with store.db.read() as connection:
        return list(connection.scalars(query))


def report_states(store: Store) -> dict[str, int]:
    """Count the reports by state; every state is there."""
    with store.db.read() as connection:
        rows = connection.execute(
            select(report.c.state, func.count().label("reports")).group_by(report.c.state)
        )
        counts = {row.state: row.reports for row in rows}
    return {state.value: counts.get(state.value, 0) for state in ReportState}
