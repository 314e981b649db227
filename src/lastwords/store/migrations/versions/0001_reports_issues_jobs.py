"""The first schema: reports with their parts, issues with their keys, jobs.

Times are integer microseconds since the Unix epoch. `lastwords.store.schema` says what the columns
mean.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _create_blob()
    _create_issue()
    _create_issue_key()
    _create_report()
    _create_annotation()
    _create_job()
    _create_report_blob()
    _create_report_key()
    _create_report_note()


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "report_note",
        "report_key",
        "report_blob",
        "job",
        "annotation",
        "report",
        "issue_key",
        "issue",
        "blob",
    ):
        op.drop_table(table)


def _create_blob() -> None:
    op.create_table(
        "blob",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blob")),
    )


def _create_issue() -> None:
    op.create_table(
        "issue",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("first_version", sa.Text(), nullable=True),
        sa.Column("last_version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issue")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_issue_last_seen"), "issue", ["last_seen"], unique=False)


def _create_issue_key() -> None:
    op.create_table(
        "issue_key",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("issue_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issue.id"], name=op.f("fk_issue_key_issue_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("kind", "hash", name=op.f("pk_issue_key")),
    )
    op.create_index(op.f("ix_issue_key_issue_id"), "issue_key", ["issue_id"], unique=False)


def _create_report() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=True),
        sa.Column("client_report_id", sa.Text(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("os", sa.Text(), nullable=True),
        sa.Column("arch", sa.Text(), nullable=True),
        sa.Column("mechanism", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("issue_id", sa.Integer(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("crash_reason", sa.Text(), nullable=True),
        sa.Column("crash_address", sa.Text(), nullable=True),
        sa.Column("dump_sha256", sa.Text(), nullable=True),
        sa.Column("processed", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["issue_id"], ["issue.id"], name=op.f("fk_report_issue_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("identity", name=op.f("uq_report_identity")),
    )
    op.create_index(op.f("ix_report_client_id"), "report", ["client_id"], unique=False)
    op.create_index(
        op.f("ix_report_client_report_id"), "report", ["client_report_id"], unique=False
    )
    op.create_index("ix_report_issue_id", "report", ["issue_id", "received"], unique=False)
    op.create_index("ix_report_product", "report", ["product", "version", "received"], unique=False)
    op.create_index(op.f("ix_report_received"), "report", ["received"], unique=False)
    op.create_index(op.f("ix_report_state"), "report", ["state"], unique=False)


def _create_annotation() -> None:
    op.create_table(
        "annotation",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["report.id"], name=op.f("fk_annotation_report_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("report_id", "key", name=op.f("pk_annotation")),
    )


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["report_id"], ["report.id"], name=op.f("fk_job_report_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("report_id", "queue", name=op.f("uq_job_report_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_priority", "job", ["priority", "available_at"], unique=False)


def _create_report_blob() -> None:
    op.create_table(
        "report_blob",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["report.id"], name=op.f("fk_report_blob_report_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["sha256"], ["blob.sha256"], name=op.f("fk_report_blob_sha256")),
        sa.PrimaryKeyConstraint("report_id", "kind", "name", name=op.f("pk_report_blob")),
    )
    op.create_index(op.f("ix_report_blob_sha256"), "report_blob", ["sha256"], unique=False)


def _create_report_key() -> None:
    op.create_table(
        "report_key",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["report.id"], name=op.f("fk_report_key_report_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("report_id", "kind", "hash", name=op.f("pk_report_key")),
    )
    op.create_index("ix_report_key_kind", "report_key", ["kind", "hash"], unique=False)


def _create_report_note() -> None:
    op.create_table(
        "report_note",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"], ["report.id"], name=op.f("fk_report_note_report_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_note")),
    )
    op.create_index(op.f("ix_report_note_report_id"), "report_note", ["report_id"], unique=False)
