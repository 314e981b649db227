"""`/reports/ID`: one report, and its files."""

# ruff: noqa: TC001, TC002  (Litestar reads the annotations of handlers at run time)

from __future__ import annotations

import re

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import File, Redirect, Template

from lastwords.errors import StoreError
from lastwords.store import Store, StoredReport
from lastwords.web.queries import report_of
from lastwords.web.report_view import report_view

__all__ = ["report_file", "report_page"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME = 80


@get("/reports/{report_id:str}", sync_to_thread=True)
def report_page(store: NamedDependency[Store], report_id: FromPath[str]) -> Template | Redirect:
    """Show a report as far as it has got; the client's own id of it leads here too."""
    report = _report(store, report_id)
    if report.id != report_id:
        return Redirect(f"/reports/{report.id}", status_code=302)
    issue = None if report.issue_id is None else store.issue(report.issue_id)
    return Template(
        "report.html",
        context={"report": report, "issue": issue, "view": report_view(store, report)},
    )


@get("/reports/{report_id:str}/files/{sha256:str}", sync_to_thread=True)
def report_file(
    store: NamedDependency[Store], report_id: FromPath[str], sha256: FromPath[str]
) -> File:
    """Download a file of a report: never shown, never guessed at, never run."""
    report = _report(store, report_id)
    for blob in store.report_blobs(report.id):
        if blob.sha256 == sha256:
            return File(
                path=store.blobs.path(sha256),
                filename=_file_name(blob.name),
                media_type="application/octet-stream",
                content_disposition_type="attachment",
                headers={"content-security-policy": "sandbox; default-src 'none'"},
            )
    raise NotFoundException(detail="The report has no such file.")


def _report(store: Store, report_id: str) -> StoredReport:
    found = report_of(store, report_id)
    if found is None:
        raise StoreError(
            "report_unknown",
            f"There is no report {report_id[:64]}.",
            "It may have been deleted; the list shows all reports.",
        )
    return found


def _file_name(name: str) -> str:
    """Return a harmless name for the browser's folder of downloads."""
    safe = _UNSAFE.sub("_", name.rpartition("/")[2]).lstrip("._")
    return safe[-_MAX_NAME:] or "file"
