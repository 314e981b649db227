"""What the store gives and takes: frozen rows, no dictionaries between rooms."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "AcceptedReport",
    "Assignment",
    "BlobKind",
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
    "StoredReport",
]


class ReportState(str, Enum):
    """Where a report is on its way through the server."""

    RECEIVED = "received"
    PROCESSING = "processing"
    PROCESSED = "processed"
    FAILED = "failed"


class IssueStatus(str, Enum):
    """What people (or a newer report) decided about an issue."""

    NEW = "new"
    OPEN = "open"
    RESOLVED = "resolved"
    REGRESSED = "regressed"
    IGNORED = "ignored"


class BlobKind(str, Enum):
    """What a blob is to its report."""

    REPORT_JSON = "report_json"
    DUMP = "dump"
    ATTACHMENT = "attachment"
    ANALYSIS = "analysis"


class NoteOutcome(str, Enum):
    """How a processing step ended."""

    DONE = "done"
    SKIPPED = "skipped"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBlob:
    """A blob that is already in `Store.blobs`, as part of a report.

    `name` is what the client called it: shown to people, never used as a path.
    """

    kind: BlobKind
    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A file that processing made for a report."""

    kind: BlobKind
    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReport:
    """A received report, before it is stored. `None` = the client did not say.

    `identity` is equal for repeated deliveries of the same report; `None` = cannot be known, so
    every delivery is a report of its own. At most one blob may be of kind `DUMP`.
    """

    report_id: str
    identity: str | None
    client_report_id: str | None
    received: datetime
    product: str | None
    version: str | None
    client_id: str | None
    blobs: tuple[NewBlob, ...]
    annotations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedReport:
    """The answer to a delivery: the id to tell the client, durable from now on."""

    report_id: str
    is_duplicate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A row of `report`; see `schema.report` for each column's meaning."""

    id: str
    client_report_id: str | None
    received: datetime
    created: datetime | None
    product: str | None
    version: str | None
    os: str | None
    arch: str | None
    mechanism: str | None
    client_id: str | None
    state: ReportState
    state_reason: str | None
    issue_id: int | None
    signature: str | None
    crash_reason: str | None
    crash_address: str | None
    dump_sha256: str | None
    processed: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFilter:
    """Which reports; every condition that is not `None` must hold."""

    issue_id: int | None = None
    product: str | None = None
    version: str | None = None
    state: ReportState | None = None
    client_report_id: str | None = None
    received_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBlob:
    """A file of a report."""

    kind: BlobKind
    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a processing step has to say about a report."""

    step: str
    outcome: NoteOutcome
    code: str | None
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingKey:
    """One way in which a report can be equal to others: `kind` (`v1:exact`) and a hex hash."""

    kind: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A row of `issue`, and the counts of its reports at the time of reading.

    `installations` counts the distinct client ids; reports without one count as one installation
    together.
    """

    id: int
    signature: str
    title: str
    status: IssueStatus
    first_seen: datetime
    last_seen: datetime
    first_version: str | None
    last_version: str | None
    reports: int
    installations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which issue a report was put into, and whether the issue was made for it."""

    issue_id: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A claimed job. `attempts` includes this claim."""

    id: int
    report_id: str
    queue: str
    attempts: int
    lease_owner: str
    claimed_at: datetime
    lease_until: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Columns of a report that processing fills; `None` leaves the stored value as it is."""

    product: str | None = None
    version: str | None = None
    os: str | None = None
    arch: str | None = None
    mechanism: str | None = None
    client_id: str | None = None
    client_report_id: str | None = None
    created: datetime | None = None
    crash_reason: str | None = None
    crash_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of processing.

    `notes` replace those of an earlier run. `documents` replace all files of the same kinds, and
    `annotations` all annotations, unless `None`.
    """

    state: ReportState
    notes: tuple[Note, ...]
    state_reason: str | None = None
    documents: tuple[NewDocument, ...] = ()
    annotations: tuple[tuple[str, str], ...] | None = None
    found: Found = field(default_factory=Found)
