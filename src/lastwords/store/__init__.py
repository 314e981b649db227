"""The server's disk: content-addressed files (`blobs/`) and the index (`lastwords.sqlite3`).

Owns what is durable, and nothing about its meaning: what a report says is the processor's, how
reports are grouped the signature's, what people decide about issues triage's business.

How the other rooms use it:

* collector: `store.blobs.writer()` per file part, `writer.keep()`, then
  `store.accept_reports([NewReport(...)])`, which writes report and job in one transaction. When it
  returns, the report survives `kill -9`.
* processor: `store.claim_job(owner, lease)`, work, then `store.end_job(job, Outcome(...))` or
  `store.retry_job(job, error, delay)`.
* triage: `store.assign_issue(report_id, keys, signature=, title=)` puts a report into an issue;
  `store.set_issue_status(issue_id, status)`; queries of its own over the tables of
  `lastwords.store.schema` with `store.db.read()` / `store.db.write()` (SQLAlchemy Core connections;
  a write block is one short immediate transaction).
* web and command line: `store.reports(ReportFilter(...), limit=)`, `store.report(id)`,
  `store.issues(...)`, `store.issue(id)`, `store.report_blobs(id)`, `store.annotations(id)`,
  `store.notes(id)`, `store.read_blob(sha256)`.

A report's files are `ReportBlob`s: `REPORT_JSON` (name `report.json`, docs/formats/report.md),
`DUMP`, `ATTACHMENT` (any number), and after processing `ANALYSIS` (name `analysis.json`,
docs/formats/analysis.md). `state` goes received → processing → processed, or failed with
`state_reason`; a report whose dump cannot be read is *processed*, and its notes say so.
"""

from lastwords.store.blobs import Blobs, BlobWriter
from lastwords.store.db import Database
from lastwords.store.records import (
    AcceptedReport,
    Assignment,
    BlobKind,
    Found,
    GroupingKey,
    Issue,
    IssueStatus,
    Job,
    NewBlob,
    NewDocument,
    NewReport,
    Note,
    NoteOutcome,
    Outcome,
    ReportBlob,
    ReportFilter,
    ReportState,
    StoredReport,
)
from lastwords.store.store import Store, open_store

__all__ = [
    "AcceptedReport",
    "Assignment",
    "BlobKind",
    "BlobWriter",
    "Blobs",
    "Database",
    "Found",
    "GroupingKey",
    "Issue",
    "IssueStatus",
    "Job",
    "NewBlob",
    "NewDocument",
    "NewReport",
    "Note",
    "NoteOutcome",
    "Outcome",
    "ReportBlob",
    "ReportFilter",
    "ReportState",
    "Store",
    "StoredReport",
    "open_store",
]
