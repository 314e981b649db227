"""One file per page."""

from __future__ import annotations

from lastwords.web.pages.issue import change_issue_status, issue_page
from lastwords.web.pages.issues import issues_page
from lastwords.web.pages.report import report_file, report_page
from lastwords.web.pages.reports import reports_page

__all__ = ["PAGE_HANDLERS"]

PAGE_HANDLERS = (
    issues_page,
    issue_page,
    change_issue_status,
    reports_page,
    report_page,
    report_file,
)
