"""Issues: which report belongs to which, what people decided, and which matters most.

* processor: `assign(store, report_id, sign(...))` puts a report into its issue.
* web and command line: `ranked_issues(store, ...)`, `issue_facts(store, issue_id)`,
  `change_status(store, issue_id, status)`.
"""

from lastwords.triage.issues import (
    STATUS_CHANGES,
    IssueAssignment,
    assign,
    change_status,
    issue_title,
)
from lastwords.triage.ranking import (
    DAYS,
    UNRESOLVED,
    IssueFacts,
    RankedIssue,
    VersionCount,
    issue_facts,
    ranked_issues,
)
from lastwords.triage.versions import is_newer, version_order

__all__ = [
    "DAYS",
    "STATUS_CHANGES",
    "UNRESOLVED",
    "IssueAssignment",
    "IssueFacts",
    "RankedIssue",
    "VersionCount",
    "assign",
    "change_status",
    "is_newer",
    "issue_facts",
    "issue_title",
    "ranked_issues",
    "version_order",
]
