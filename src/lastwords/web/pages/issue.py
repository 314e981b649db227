"""`/issues/ID`: one issue, and the buttons that change its status."""

# ruff: noqa: TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Template

from lastwords.errors import StoreError
from lastwords.store import Issue, IssueStatus, ReportFilter, ReportState, Store, StoredReport
from lastwords.triage import STATUS_CHANGES, change_status, issue_facts
from lastwords.web.csrf import FormToken, is_same_origin
from lastwords.web.formatting import day_labels
from lastwords.web.report_view import ReportView, report_view

__all__ = ["change_issue_status", "issue_page"]

_MAX_REPORTS = 100
_ACTIONS = {
    IssueStatus.OPEN: "Open",
    IssueStatus.RESOLVED: "Resolve",
    IssueStatus.IGNORED: "Ignore",
}


@get("/issues/{issue_id:int}", sync_to_thread=True)
def issue_page(store: NamedDependency[Store], issue_id: FromPath[int]) -> Template:
    """Show an issue with its newest processed report."""
    issue = _issue(store, issue_id)
    reports = store.reports(ReportFilter(issue_id=issue_id), limit=_MAX_REPORTS)
    facts = issue_facts(store, issue_id)
    return Template(
        "issue.html",
        context={
            "issue": issue,
            "facts": facts,
            "days": list(zip(day_labels(len(facts.days)), facts.days, strict=True)),
            "reports": reports,
            "sample": _sample(store, reports),
            "actions": [(one.value, _ACTIONS[one]) for one in STATUS_CHANGES[issue.status]],
        },
    )


@post("/issues/{issue_id:int}/status", status_code=303, sync_to_thread=True)
def change_issue_status(
    request: Request[Any, Any, Any],
    store: NamedDependency[Store],
    token: NamedDependency[FormToken],
    issue_id: FromPath[int],
    data: URLEncodedBody[dict[str, str]],
) -> Redirect:
    """Change the status and go back to the issue."""
    if not is_same_origin(request.headers) or not token.is_valid(data.get("token")):
        raise PermissionDeniedException(
            detail="This form is not from a page of this server, or the server was restarted. "
            "Reload the issue's page and press the button again."
        )
    try:
        status = IssueStatus(data.get("status", ""))
    except ValueError:
        raise ClientException(detail="The form holds no status that exists.") from None
    change_status(store, issue_id, status)
    return Redirect(f"/issues/{issue_id}", status_code=303)


def _issue(store: Store, issue_id: int) -> Issue:
    found = store.issue(issue_id)
    if found is None:
        raise StoreError(
            "issue_unknown", f"There is no issue {issue_id}.", "The list shows all issues."
        )
    return found


def _sample(store: Store, reports: list[StoredReport]) -> ReportView | None:
    """Return the newest processed report; `None` while there is none."""
    processed = [one for one in reports if one.state is ReportState.PROCESSED]
    return report_view(store, processed[0]) if processed else None
