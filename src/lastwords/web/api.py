"""The JSON API, as docs/formats/api.md describes it."""

# ruff: noqa: TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from lastwords.errors import StoreError
from lastwords.store import Note, ReportBlob, ReportFilter, Store, StoredReport
from lastwords.triage import RankedIssue, issue_facts, ranked_issues
from lastwords.web.formatting import day_labels, iso
from lastwords.web.queries import chosen_state, chosen_statuses, report_of
from lastwords.web.report_view import documents

__all__ = ["API_HANDLERS"]

_SCHEMA = 1
_Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


@get("/api/issues", sync_to_thread=True)
def list_issues(
    store: NamedDependency[Store],
    status: FromQuery[str] = "unresolved",
    product: FromQuery[str | None] = None,
    limit: _Limit = 100,
) -> dict[str, Any]:
    """List issues, ranked."""
    ranked = ranked_issues(store, statuses=chosen_statuses(status), product=product, limit=limit)
    return {"schema": _SCHEMA, "issues": [_ranked(one) for one in ranked]}


@get("/api/issues/{issue_id:int}", sync_to_thread=True)
def show_issue(store: NamedDependency[Store], issue_id: FromPath[int]) -> dict[str, Any]:
    """Show one issue with its counts."""
    issue = store.issue(issue_id)
    if issue is None:
        raise StoreError("issue_unknown", f"there is no issue {issue_id}", None)
    facts = issue_facts(store, issue_id)
    counts = {
        name: [
            {"name": one.name, "reports": one.reports, "installations": one.installations}
            for one in getattr(facts, name)
        ]
        for name in ("versions", "systems", "products")
    }
    days = [
        {"day": day, "reports": reports}
        for day, reports in zip(day_labels(len(facts.days)), facts.days, strict=True)
    ]
    return {"schema": _SCHEMA, "issue": {**_issue(issue), **counts, "days": days}}


@get("/api/reports", sync_to_thread=True)
def list_reports(  # noqa: PLR0913  (one parameter per condition)
    store: NamedDependency[Store],
    *,
    issue: FromQuery[int | None] = None,
    product: FromQuery[str | None] = None,
    version: FromQuery[str | None] = None,
    wanted: Annotated[str, QueryParameter(name="state")] = "all",
    limit: _Limit = 100,
) -> dict[str, Any]:
    """List reports, newest first."""
    where = ReportFilter(
        issue_id=issue, product=product, version=version, state=chosen_state(wanted)
    )
    found = store.reports(where, limit=limit)
    return {"schema": _SCHEMA, "reports": [_report(one) for one in found]}


@get("/api/reports/{report_id:str}", sync_to_thread=True)
def show_report(store: NamedDependency[Store], report_id: FromPath[str]) -> dict[str, Any]:
    """Show one report with its files, notes and documents."""
    stored = report_of(store, report_id)
    if stored is None:
        raise StoreError("report_unknown", f"there is no report {report_id[:64]!r}", None)
    blobs = store.report_blobs(stored.id)
    found = documents(store, blobs)
    return {
        "schema": _SCHEMA,
        "report": {
            **_report(stored),
            "annotations": dict(store.annotations(stored.id)),
            "files": [_file(stored.id, one) for one in blobs],
            "notes": [_note(one) for one in store.notes(stored.id)],
            "document": found.report,
            "analysis": found.analysis,
        },
    }


API_HANDLERS = (list_issues, show_issue, list_reports, show_report)


def _ranked(one: RankedIssue) -> dict[str, Any]:
    return {
        "rank": one.rank,
        **_issue(one.issue),
        "versions": list(one.versions),
        "days": list(one.days),
    }


def _issue(issue: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "id": issue.id,
        "title": issue.title,
        "signature": issue.signature,
        "status": issue.status.value,
        "installations": issue.installations,
        "reports": issue.reports,
        "first_seen": iso(issue.first_seen),
        "last_seen": iso(issue.last_seen),
        "first_version": issue.first_version,
        "last_version": issue.last_version,
        "url": f"/issues/{issue.id}",
    }


def _report(stored: StoredReport) -> dict[str, Any]:
    return {
        "id": stored.id,
        "client_report_id": stored.client_report_id,
        "received": iso(stored.received),
        "created": iso(stored.created) if stored.created else None,
        "processed": iso(stored.processed) if stored.processed else None,
        "state": stored.state.value,
        "state_reason": stored.state_reason,
        "product": stored.product,
        "version": stored.version,
        "os": stored.os,
        "arch": stored.arch,
        "mechanism": stored.mechanism,
        "client_id": stored.client_id,
        "issue": stored.issue_id,
        "signature": stored.signature,
        "crash_reason": stored.crash_reason,
        "crash_address": stored.crash_address,
        "url": f"/reports/{stored.id}",
    }


def _file(report_id: str, blob: ReportBlob) -> dict[str, Any]:
    return {
        "kind": blob.kind.value,
        "name": blob.name,
        "size_bytes": blob.size_bytes,
        "sha256": blob.sha256,
        "url": f"/reports/{report_id}/files/{blob.sha256}",
    }


def _note(note: Note) -> dict[str, Any]:
    return {
        "step": note.step,
        "outcome": note.outcome.value,
        "code": note.code,
        "message": note.message,
        "at": iso(note.at),
    }
