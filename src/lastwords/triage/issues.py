"""Issues and their states.

A report belongs to the issue that owns one of its keys; the strongest known key decides. Keys hold
for one product only. States: an issue begins `new`; people make it `open`, `resolved` or `ignored`;
a report of a version newer than all before makes a resolved issue `regressed`. An ignored issue
stays ignored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from lastwords.errors import StoreError
from lastwords.report.mechanism_words import cause_words
from lastwords.signature import ABNORMAL_END
from lastwords.store import GroupingKey, IssueStatus
from lastwords.store import issues as issue_rows
from lastwords.store.schema import issue, report
from lastwords.triage.versions import is_newer, version_order

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from lastwords.signature import SignatureResult
    from lastwords.store import Store

__all__ = ["STATUS_CHANGES", "IssueAssignment", "assign", "change_status", "issue_title"]

STATUS_CHANGES: dict[IssueStatus, tuple[IssueStatus, ...]] = {
    IssueStatus.NEW: (IssueStatus.OPEN, IssueStatus.RESOLVED, IssueStatus.IGNORED),
    IssueStatus.OPEN: (IssueStatus.RESOLVED, IssueStatus.IGNORED),
    IssueStatus.REGRESSED: (IssueStatus.OPEN, IssueStatus.RESOLVED, IssueStatus.IGNORED),
    IssueStatus.RESOLVED: (IssueStatus.OPEN, IssueStatus.IGNORED),
    IssueStatus.IGNORED: (IssueStatus.OPEN, IssueStatus.RESOLVED),
}
"""Status → what a person may change it to. `new` and `regressed` are set by reports alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueAssignment:
    """Where a report went.

    Args:
        issue_id: Its issue.
        is_new: The issue was made for this report.
        is_regression: The report turned a resolved issue into a regressed one.
    """

    issue_id: int
    is_new: bool
    is_regression: bool


def assign(store: Store, report_id: str, signature: SignatureResult) -> IssueAssignment:
    """Put a processed report into its issue, making one when no key of it is known.

    One transaction; repeating it changes nothing. Raises `StoreError` (`report_unknown`).
    """
    with store.db.write() as connection:
        before = _report(connection, report_id)
        keys = [
            GroupingKey(
                kind=f"{key.version}:{key.kind.value}",
                hash=_of_product(before["product"], key.hash),
            )
            for key in signature.keys
        ]
        put = issue_rows.assign(
            connection,
            report_id,
            keys,
            signature=signature.text,
            title=issue_title(signature),
        )
        is_other = before["issue_id"] != put.issue_id
        is_regression = (
            not put.is_new
            and is_other
            and _regress(connection, put.issue_id, report_id, before["version"])
        )
    return IssueAssignment(issue_id=put.issue_id, is_new=put.is_new, is_regression=is_regression)


def change_status(store: Store, issue_id: int, status: IssueStatus) -> IssueStatus:
    """Change what people decided about an issue; returns the status before.

    Setting the present status again is allowed and changes nothing.

    Raises:
        StoreError: `issue_unknown`, or `issue_status_not_allowed` for a change that
            `STATUS_CHANGES` does not list.
    """
    with store.db.write() as connection:
        found = connection.scalar(select(issue.c.status).where(issue.c.id == issue_id))
        if found is None:
            raise StoreError("issue_unknown", f"there is no issue {issue_id}", None)
        before = IssueStatus(found)
        if status is before:
            return before
        if status not in STATUS_CHANGES[before]:
            allowed = ", ".join(one.value for one in STATUS_CHANGES[before])
            raise StoreError(
                "issue_status_not_allowed",
                f"issue {issue_id} is {before.value} and cannot become {status.value}",
                f"choose one of: {allowed}",
            )
        issue_rows.set_status(connection, issue_id, status)
    return before


def issue_title(signature: SignatureResult) -> str:
    """Return one line for people: what happened, in which function, called by which."""
    head, *names = signature.parts
    head = head.removeprefix("pyexc:")
    if not names:
        return head
    if head == ABNORMAL_END:
        return f"Abnormal end: {_end_words(names[0])}"
    if not signature.has_stack or names[0].startswith("("):
        return " ".join([head, *names])
    functions = [name.partition("!")[2] or name for name in names]
    text = f"{head} in {' ← '.join(functions)}"
    return text if signature.is_groupable else f"{text} (no symbols)"


def _end_words(end: str) -> str:
    cause, _, exit_code = end.partition(" ")
    words = cause_words(cause)
    if exit_code:
        return f"{words} with status {exit_code}"
    return words if words != cause else f"ended by {cause}"


def _regress(connection: Connection, issue_id: int, report_id: str, version: str | None) -> bool:
    """Turn a resolved issue into a regressed one if `version` is newer than all others in it."""
    status = connection.scalar(select(issue.c.status).where(issue.c.id == issue_id))
    if status != IssueStatus.RESOLVED.value:
        return False
    known = connection.scalars(
        select(report.c.version)
        .where(report.c.issue_id == issue_id, report.c.id != report_id)
        .where(report.c.version.is_not(None))
        .distinct()
    )
    newest = max(known, key=version_order, default=None)
    if not is_newer(version, newest):
        return False
    connection.execute(
        update(issue).where(issue.c.id == issue_id).values(status=IssueStatus.REGRESSED.value)
    )
    return True


def _report(connection: Connection, report_id: str) -> RowMapping:
    row = connection.execute(
        select(report.c.product, report.c.version, report.c.issue_id).where(
            report.c.id == report_id
        )
    )
    found = row.mappings().first()
    if found is None:
        raise StoreError("report_unknown", f"there is no report {report_id!r}", None)
    return found


def _of_product(product: str | None, value: str) -> str:
    """Make a key hold for one product: two products with one library have issues of their own."""
    return hashlib.sha256(f"{product or ''}\0{value}".encode()).hexdigest()[:32]
