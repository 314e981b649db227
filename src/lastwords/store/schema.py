"""The tables of the server's database, and for each column its meaning and who may see it.

Classes of columns: `public` (any signed-in reader, aggregate pages, logs), `protected` (may hold
personal data: report pages only, never logs or metrics). The migrations in `migrations/versions`
create these tables; a test compares both.

Times are integers: microseconds since the Unix epoch, UTC (the same on SQLite and PostgreSQL).
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

__all__ = [
    "METADATA",
    "UtcTime",
    "annotation",
    "blob",
    "issue",
    "issue_key",
    "job",
    "report",
    "report_blob",
    "report_key",
    "report_note",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as integer microseconds since the Unix epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Convert to microseconds; a naive time is a defect of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert from microseconds."""
        return None if value is None else _EPOCH + value * _MICROSECOND


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _public(meaning: str) -> dict[str, str]:
    return {"class": "public", "meaning": meaning}


def _protected(meaning: str) -> dict[str, str]:
    return {"class": "protected", "meaning": meaning}


def _of_report() -> ForeignKey:
    return ForeignKey("report.id", ondelete="CASCADE")


issue = Table(
    "issue",
    METADATA,
    Column("id", Integer, primary_key=True, info=_public("number in addresses and commands")),
    Column("signature", Text, nullable=False, info=_public("signature of its first report")),
    Column("title", Text, nullable=False, info=_public("one line for people")),
    Column(
        "status", Text, nullable=False, info=_public("new, open, resolved, regressed or ignored")
    ),
    Column(
        "first_seen", UtcTime, nullable=False, info=_public("when its first report was received")
    ),
    Column(
        "last_seen", UtcTime, nullable=False, info=_public("when its newest report was received")
    ),
    Column("first_version", Text, info=_public("product version of its first report")),
    Column("last_version", Text, info=_public("product version of its newest report")),
    Index(None, "last_seen"),
    sqlite_autoincrement=True,
)

issue_key = Table(
    "issue_key",
    METADATA,
    Column(
        "kind",
        Text,
        primary_key=True,
        info=_public("what was hashed and by which version, as in `v1:exact`"),
    ),
    Column("hash", Text, primary_key=True, info=_public("hexadecimal hash of the grouping input")),
    Column(
        "issue_id",
        Integer,
        ForeignKey("issue.id", ondelete="CASCADE"),
        nullable=False,
        info=_public("the issue that reports with this key belong to"),
    ),
    Index(None, "issue_id"),
)

report = Table(
    "report",
    METADATA,
    Column(
        "id", Text, primary_key=True, info=_public("the server's id: UUID, last six digits YYMMDD")
    ),
    Column(
        "identity",
        Text,
        info=_public("equal for repeated deliveries of one report; null = unknown"),
    ),
    Column("client_report_id", Text, info=_public("`report_id` of report.json")),
    Column("received", UtcTime, nullable=False, info=_public("when the server had all of it")),
    Column("created", UtcTime, info=_public("when the client made it, by the client's clock")),
    Column("product", Text, info=_public("product as the client named it")),
    Column("version", Text, info=_public("product version")),
    Column("os", Text, info=_public("operating system of the client")),
    Column("arch", Text, info=_public("processor architecture")),
    Column(
        "mechanism", Text, info=_public("which detector caught it (report.json `mechanism.type`)")
    ),
    Column("client_id", Text, info=_public("the installation")),
    Column(
        "state", Text, nullable=False, info=_public("received, processing, processed or failed")
    ),
    Column("state_reason", Text, info=_public("why it failed")),
    Column(
        "issue_id",
        Integer,
        ForeignKey("issue.id", ondelete="SET NULL"),
        info=_public("the issue that it belongs to; null = not grouped (yet)"),
    ),
    Column("signature", Text, info=_public("its signature")),
    Column("crash_reason", Text, info=_public("signal or exception type")),
    Column("crash_address", Text, info=_public("fault address, 0-padded hexadecimal")),
    Column("dump_sha256", Text, info=_public("the dump's blob; null = no dump was sent")),
    Column("processed", UtcTime, info=_public("when processing ended")),
    UniqueConstraint("identity"),
    Index(None, "client_report_id"),
    Index(None, "received"),
    Index("ix_report_issue_id", "issue_id", "received"),
    Index("ix_report_product", "product", "version", "received"),
    Index(None, "state"),
    Index(None, "client_id"),
)

blob = Table(
    "blob",
    METADATA,
    Column(
        "sha256", Text, primary_key=True, info=_public("hash of the content, and its file's name")
    ),
    Column("size_bytes", BigInteger, nullable=False, info=_public("size of the content")),
    Column("created", UtcTime, nullable=False, info=_public("when it was stored first")),
)

report_blob = Table(
    "report_blob",
    METADATA,
    Column("report_id", Text, _of_report(), primary_key=True, info=_public("the report")),
    Column(
        "kind", Text, primary_key=True, info=_public("report_json, dump, attachment or analysis")
    ),
    Column(
        "name",
        Text,
        primary_key=True,
        info=_protected("the client's name of it; data, never a path"),
    ),
    Column("sha256", Text, ForeignKey("blob.sha256"), nullable=False, info=_public("the content")),
    Index(None, "sha256"),
)

annotation = Table(
    "annotation",
    METADATA,
    Column("report_id", Text, _of_report(), primary_key=True, info=_public("the report")),
    Column("key", Text, primary_key=True, info=_protected("name of the form field")),
    Column("value", Text, nullable=False, info=_protected("its text, as sent")),
)

report_key = Table(
    "report_key",
    METADATA,
    Column("report_id", Text, _of_report(), primary_key=True, info=_public("the report")),
    Column("kind", Text, primary_key=True, info=_public("as in `issue_key`")),
    Column("hash", Text, primary_key=True, info=_public("as in `issue_key`")),
    Index("ix_report_key_kind", "kind", "hash"),
)

report_note = Table(
    "report_note",
    METADATA,
    Column("id", Integer, primary_key=True, info=_public("order of writing")),
    Column("report_id", Text, _of_report(), nullable=False, info=_public("the report")),
    Column("step", Text, nullable=False, info=_public("the processing step that left it")),
    Column("outcome", Text, nullable=False, info=_public("done, skipped, partial or failed")),
    Column("code", Text, info=_public("stable code of what went wrong; null = nothing did")),
    Column("message", Text, nullable=False, info=_protected("one line for people")),
    Column("at", UtcTime, nullable=False, info=_public("when the step ended")),
    Index(None, "report_id"),
)

job = Table(
    "job",
    METADATA,
    Column("id", Integer, primary_key=True, info=_public("order of arrival")),
    Column("report_id", Text, _of_report(), nullable=False, info=_public("the report to process")),
    Column(
        "queue", Text, nullable=False, info=_public("process (new reports) or reprocess (old ones)")
    ),
    Column("priority", Integer, nullable=False, info=_public("smaller is sooner")),
    Column("available_at", UtcTime, nullable=False, info=_public("not to be claimed earlier")),
    Column("lease_owner", Text, info=_public("the worker that has it; null = nobody")),
    Column("lease_until", UtcTime, info=_public("when another worker may take it")),
    Column("attempts", Integer, nullable=False, info=_public("how often it was claimed")),
    Column("last_error", Text, info=_public("why the last attempt failed")),
    UniqueConstraint("report_id", "queue"),
    Index("ix_job_priority", "priority", "available_at"),
    sqlite_autoincrement=True,
)
