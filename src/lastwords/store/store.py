"""The store: blobs and index behind one object."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lastwords.errors import StoreError
from lastwords.store import issues, queue, reports, retention
from lastwords.store.blobs import Blobs, sync_directory
from lastwords.store.db import Database
from lastwords.store.records import NewBlob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastwords.store.records import (
        AcceptedReport,
        Assignment,
        Found,
        GroupingKey,
        Issue,
        IssueStatus,
        Job,
        NewDocument,
        NewReport,
        Note,
        Outcome,
        ReportBlob,
        ReportFilter,
        StoredReport,
    )

__all__ = ["Store", "open_store"]


def open_store(data_dir: Path | str, *, is_owner: bool = False) -> Store:
    """Open the store in `data_dir`, creating folder, database and tables when absent.

    Args:
        data_dir: The folder that holds `lastwords.sqlite3`, `blobs/` and `incoming/`.
        is_owner: Take the store for this process alone (the server does), remove the unfinished
            files and give back the jobs of an earlier owner. Others may read and write at the
            same time, but only one process may be the owner.

    Raises:
        StoreError: `store_not_usable`, `store_newer_schema` or `store_in_use`.
    """
    root = Path(data_dir).absolute()
    try:
        for folder in (root, root / "blobs", root / "incoming"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(root) if is_owner else None
        sync_directory(root)
    except OSError as error:
        raise StoreError(
            "store_not_usable",
            f"the data folder {root} cannot be used: {error.strerror or error}",
            "give a folder that you can write to: lastwords serve --data DIR",
        ) from error
    try:
        store = Store(root, lock)
    except StoreError:
        if lock is not None:
            lock.close()
        raise
    if is_owner:
        store.recover()
    return store


class Store:
    """Reports, issues, jobs and blobs of one data folder; usable from any thread.

    `db` gives connections for queries of one's own over the tables of `lastwords.store.schema`;
    `blobs` is the folder of files. Made by `open_store`.
    """

    def __init__(self, data_dir: Path, lock: IO[bytes] | None = None) -> None:
        self.data_dir = data_dir
        self.db = Database(data_dir / "lastwords.sqlite3")
        self.blobs = Blobs(data_dir / "blobs", data_dir / "incoming")
        self._lock = lock

    def close(self) -> None:
        """Close the database and give up ownership; the store must not be used afterwards."""
        self.db.close()
        if self._lock is not None:
            self._lock.close()

    def recover(self) -> int:
        """Clean up after an earlier owner that died; returns how many jobs were given back."""
        with self.db.read() as connection:
            self.blobs.recover(lambda sha256: reports.has_blob(connection, sha256))
        with self.db.write() as connection:
            return queue.release_leases(connection)

    # -- reports ----------------------------------------------------------------------------

    def accept_reports(self, new: Sequence[NewReport]) -> list[AcceptedReport]:
        """Store reports with their jobs in one transaction; durable when it returns.

        A report whose `identity` is known already is answered with the first one's id. Their blobs
        must have been kept in `blobs` before, inside `blobs.adding()`.
        """
        with self.db.write() as connection:
            return reports.accept(connection, new)

    def report(self, report_id: str) -> StoredReport | None:
        """Return a report by the server's id, with or without `bp-`; `None` if unknown."""
        with self.db.read() as connection:
            return reports.by_id(connection, report_id.removeprefix("bp-"))

    def reports(self, where: ReportFilter | None = None, *, limit: int = 100) -> list[StoredReport]:
        """Return at most `limit` reports, newest first."""
        with self.db.read() as connection:
            return reports.matching(connection, where, limit)

    def fill_report(self, report_id: str, found: Found) -> None:
        """Fill columns of a report before its processing ends; `end_job` may fill them again."""
        with self.db.write() as connection:
            reports.fill(connection, report_id, found)

    def report_blobs(self, report_id: str) -> list[ReportBlob]:
        """Return the files of a report by kind and name; empty if the report is unknown."""
        with self.db.read() as connection:
            return reports.blobs_of(connection, report_id)

    def annotations(self, report_id: str) -> list[tuple[str, str]]:
        """Return the text parts of the delivery by key; those of report.json are in report.json."""
        with self.db.read() as connection:
            return reports.annotations_of(connection, report_id)

    def notes(self, report_id: str) -> list[Note]:
        """Return what the processing steps noted in the last run, in order."""
        with self.db.read() as connection:
            return reports.notes_of(connection, report_id)

    def read_blob(self, sha256: str) -> bytes:
        """Read a blob whole, checked against its hash. Raises `StoreError`."""
        return self.blobs.read(sha256)

    # -- issues -----------------------------------------------------------------------------

    def issue(self, issue_id: int) -> Issue | None:
        """Return an issue with its counts; `None` if unknown."""
        with self.db.read() as connection:
            found = issues.matching(
                connection, issue_id=issue_id, status=None, product=None, limit=1
            )
        return found[0] if found else None

    def issues(
        self, *, status: IssueStatus | None = None, product: str | None = None, limit: int = 100
    ) -> list[Issue]:
        """Return issues, most installations first, then most reports, then newest.

        With `product`, only issues with reports of that product, and only those are counted.
        """
        with self.db.read() as connection:
            return issues.matching(
                connection, issue_id=None, status=status, product=product, limit=limit
            )

    def assign_issue(
        self, report_id: str, keys: Sequence[GroupingKey], *, signature: str, title: str
    ) -> Assignment:
        """Put a report into the issue that has one of `keys` (the first that is known decides).

        Makes an issue (status `new`) when no key is known, and gives the issue those of `keys` that
        belong to none. Also records the keys and the signature of the report. Repeating it changes
        nothing. The statuses of an existing issue are not touched: that is triage's business.

        Raises:
            StoreError: `report_unknown`.
        """
        with self.db.write() as connection:
            return issues.assign(connection, report_id, keys, signature=signature, title=title)

    def set_issue_status(self, issue_id: int, status: IssueStatus) -> bool:
        """Change the status of an issue; `False` if it is unknown."""
        with self.db.write() as connection:
            return issues.set_status(connection, issue_id, status)

    # -- jobs -------------------------------------------------------------------------------

    def claim_job(self, owner: str, lease: timedelta) -> Job | None:
        """Take the next job for `owner`; another worker may take it when the lease is over."""
        with self.db.write() as connection:
            return queue.claim_job(connection, owner, _now(), lease)

    def end_job(self, claimed: Job, outcome: Outcome) -> bool:
        """Write what was found out and remove the job, in one transaction.

        Returns `False` and changes nothing when another worker has taken the job since.
        """
        with ExitStack() as files, self.blobs.adding():
            new_blobs = [self._keep(files, one) for one in outcome.documents]
            with self.db.write() as connection:
                reports.add_blobs(connection, new_blobs, _now())
                if not queue.end_job(connection, claimed):
                    return False
                reports.write_outcome(connection, claimed.report_id, outcome, new_blobs, _now())
        return True

    def _keep(self, files: ExitStack, document: NewDocument) -> NewBlob:
        writer = files.enter_context(self.blobs.writer())
        writer.write(document.content)
        sha256, size_bytes = writer.keep()
        return NewBlob(kind=document.kind, name=document.name, sha256=sha256, size_bytes=size_bytes)

    def retry_job(self, claimed: Job, error: str, delay: timedelta) -> bool:
        """Give a job back, to be claimed again after `delay`; `False` when it was taken since."""
        with self.db.write() as connection:
            return queue.retry_job(connection, claimed, error, _now() + delay)

    def release_job(self, claimed: Job) -> None:
        """Give a job back as if it had not been claimed, as when the server stops."""
        with self.db.write() as connection:
            queue.release_job(connection, claimed)

    def reprocess(self, report_id: str) -> bool:
        """Queue a report once more, after all new ones; `False` if it is unknown."""
        with self.db.write() as connection:
            if reports.by_id(connection, report_id) is None:
                return False
            queue.add_jobs(connection, [(report_id, _now())], queue="reprocess")
            return True

    def queue_depth(self) -> int:
        """Count the jobs that wait or run."""
        with self.db.read() as connection:
            return queue.queue_depth(connection)

    def remove_unreferenced(self) -> int:
        """Remove some blobs that nothing refers to; returns how many. Only for the owner."""
        return retention.remove_unreferenced(self.db, self.blobs)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _lock(root: Path) -> IO[bytes]:
    lock = (root / "lock").open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read(32).decode("ascii", "replace").strip() or "unknown"
        lock.close()
        raise StoreError(
            "store_in_use",
            f"the data folder {root} is in use by the process {owner}",
            "stop that server, or give another folder with --data",
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n".encode("ascii"))
    lock.flush()
    return lock
