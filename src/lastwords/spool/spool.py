"""The spool as its readers see it: list, claim, move, delete.

A report belongs to the process that holds its claim (`flock` on `delivery.lock` inside the
report's directory, which moves along with it), so two processes never send it twice. The lock ends
with its process, whatever happens to that.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from lastwords.errors import SpoolError
from lastwords.report.crash_report import CrashReport, SoftError
from lastwords.report.json_text import json_text, read_json_file
from lastwords.spool.writer import (
    STATES,
    ensure_spool,
    is_report_id,
    spool_error,
    sync_dir,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REMOVED_PREFIX", "DeliveryState", "Spool", "SpooledReport"]

REMOVED_PREFIX = ".removed-"
"""Name in `new/` of a report that is being deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """`delivery.json`: what the uploader knows. Times are RFC 3339, UTC.

    `outcome` is `None` while pending, then `delivered`, `rejected` (the server refused it for
    good) or `given_up` (too many failures).
    """

    attempts: int = 0
    last_attempt: str | None = None
    last_error: str | None = None
    next_attempt: str | None = None
    server_id: str | None = None
    outcome: str | None = None

    @classmethod
    def from_json(cls, document: dict[str, object]) -> DeliveryState:
        """Decode; values of the wrong type count as missing."""
        values: dict[str, object] = {}
        for item in fields(cls):
            value = document.get(item.name)
            wanted = int if item.name == "attempts" else str
            if isinstance(value, wanted) and not isinstance(value, bool):
                values[item.name] = value
        return cls(**values)  # type: ignore[arg-type]  # the loop has checked the types


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledReport:
    """One report in the spool; `report` holds what could be read of `report.json`."""

    report_id: str
    state: str
    path: str
    size_bytes: int
    report: CrashReport
    delivery: DeliveryState

    def files(self) -> list[tuple[str, str, int]]:
        """Return the files that a delivery sends: part name, path, size in bytes.

        The dump comes last. Only regular files inside the report's own directory are named,
        whatever `report.json` says.
        """
        found = [("report", os.path.join(self.path, "report.json"))]
        folder = os.path.join(self.path, "attachments")
        found += [(f"attachment_{name}", os.path.join(folder, name)) for name in _names(folder)]
        found.append(("upload_file_minidump", os.path.join(self.path, "dump.dmp")))
        return [
            (part, path, os.path.getsize(path))
            for part, path in found
            if os.path.isfile(path) and not os.path.islink(path)
        ]


class Spool:
    """The reports in one spool directory.

    Args:
        directory: Where it is. It is made when `make` is true.
        make: Whether to make what is missing.

    Raises:
        SpoolError: There is no usable spool there.
    """

    def __init__(self, directory: str, *, make: bool = True) -> None:
        self.directory = os.path.abspath(directory)
        if make:
            ensure_spool(self.directory)
        elif not os.path.isdir(os.path.join(self.directory, "pending")):
            raise SpoolError(
                "spool_not_usable",
                f"{self.directory} is not a spool directory: it holds no pending/",
                "give --dump-dir the directory that the application gave to install()",
            )

    def path(self, state: str, report_id: str) -> str:
        """Return the directory that a report has in a stage, whether it is there or not.

        Raises:
            SpoolError: The id is not one; nothing else reaches the file system as a name.
        """
        if not is_report_id(report_id):
            raise SpoolError(
                "spool_bad_report_id",
                f"{report_id[:80]!r} is not a report id, expected 36 characters like "
                "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
                "lastwords spool list shows the ids",
            )
        return os.path.join(self.directory, state, report_id)

    def ids(self, state: str) -> list[str]:
        """List the report ids of a stage, oldest first; unreadable counts as empty."""
        folder = os.path.join(self.directory, state)
        dated = [
            (_made(os.path.join(folder, name)), name)
            for name in _names(folder)
            if is_report_id(name) and _is_own_dir(os.path.join(folder, name))
        ]
        return [name for _, name in sorted(dated)]

    def reports(self, state: str | None = None) -> list[SpooledReport]:
        """Return the reports of one stage, or of all that are complete."""
        found = []
        for stage in (state,) if state else ("pending", "completed"):
            for report_id in self.ids(stage):
                with contextlib.suppress(SpoolError):  # moved away meanwhile
                    found.append(self.read(stage, report_id))
        return found

    def find(self, report_id: str) -> SpooledReport:
        """Return a report by id, in whatever stage it is.

        Raises:
            SpoolError: No such report, or not an id.
        """
        for state in reversed(STATES):
            if os.path.isdir(self.path(state, report_id)):
                return self.read(state, report_id)
        raise SpoolError(
            "spool_report_not_found",
            f"the spool {self.directory} holds no report {report_id}",
            "lastwords spool list shows the ids",
        )

    def read(self, state: str, report_id: str) -> SpooledReport:
        """Read one report; a damaged `report.json` is a soft error in it.

        Raises:
            SpoolError: The report is not in that stage.
        """
        path = self.path(state, report_id)
        if not os.path.isdir(path):
            raise SpoolError(
                "spool_report_not_found", f"there is no report {report_id} in {state}/"
            )
        return SpooledReport(
            report_id=report_id,
            state=state,
            path=path,
            size_bytes=directory_size(path),
            report=_read_report(path),
            delivery=self._read_delivery(path),
        )

    @staticmethod
    def _read_delivery(path: str) -> DeliveryState:
        try:
            return DeliveryState.from_json(read_json_file(os.path.join(path, "delivery.json")))
        except (OSError, ValueError):
            return DeliveryState()

    def write_delivery(self, state: str, report_id: str, delivery: DeliveryState) -> None:
        """Store the delivery state of a claimed report, all of it or nothing.

        Raises:
            SpoolError: It could not be written; the old state stands.
        """
        target = os.path.join(self.path(state, report_id), "delivery.json")
        try:
            write_file(target + ".tmp", json_text(asdict(delivery)).encode())
            os.replace(target + ".tmp", target)
        except OSError as error:
            raise spool_error("writing", target, error) from error

    def move(self, report_id: str, source: str, target: str) -> str:
        """Move a claimed report to another stage; returns its new directory.

        Raises:
            SpoolError: It could not be moved and is where it was.
        """
        old, new = self.path(source, report_id), self.path(target, report_id)
        try:
            os.rename(old, new)
            sync_dir(os.path.dirname(new))
        except OSError as error:
            raise spool_error(f"moving {old} to", new, error) from error
        return new

    def reopen(self, report_id: str) -> None:
        """Make a completed report pending again, with its attempts forgotten.

        Raises:
            SpoolError: It is not in `completed/`, or cannot be moved.
        """
        with self.claim("completed", report_id):
            before = self.read("completed", report_id).delivery
            fresh = DeliveryState(server_id=before.server_id, last_error=before.last_error)
            self.write_delivery("completed", report_id, fresh)
            self.move(report_id, "completed", "pending")

    @contextlib.contextmanager
    def claim(self, state: str, report_id: str) -> Iterator[None]:
        """Hold a report for this process as long as the context lasts.

        Raises:
            SpoolError: Another process holds it (`spool_report_busy`), or it has left the stage
                (`spool_report_not_found`).
        """
        import fcntl

        path = os.path.join(self.path(state, report_id), "delivery.lock")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SpoolError(
                "spool_report_not_found", f"there is no report {report_id} in {state}/"
            ) from error
        except OSError as error:
            raise spool_error("claiming", path, error) from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SpoolError(
                    "spool_report_busy", f"another process is sending report {report_id}"
                ) from error
            self._see_that_it_is_still_there(fd, path, report_id)
            yield
        finally:
            os.close(fd)

    def _see_that_it_is_still_there(self, fd: int, path: str, report_id: str) -> None:
        """Between opening and locking, the holder before us may have moved the report away."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(fd)):
                return
        raise SpoolError(
            "spool_report_not_found", f"report {report_id} was finished by another process"
        )

    def delete(self, state: str, report_id: str) -> None:
        """Remove a report; it leaves its stage in one step, so it is never sent in part.

        Raises:
            SpoolError: It is being sent, is not there, or cannot be removed.
        """
        import shutil

        with self.claim(state, report_id):
            doomed = os.path.join(self.directory, "new", REMOVED_PREFIX + report_id)
            try:
                shutil.rmtree(doomed, ignore_errors=True)
                os.rename(self.path(state, report_id), doomed)
                shutil.rmtree(doomed)
            except OSError as error:
                raise spool_error("removing", doomed, error) from error


def _is_own_dir(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _made(path: str) -> float:
    """When the report was made: its document stays as it is, its directory gets a lock file."""
    for name in ("report.json", "dump.dmp", ""):
        with contextlib.suppress(OSError):
            return os.stat(os.path.join(path, name)).st_mtime
    return 0.0


def directory_size(path: str) -> int:
    """Return the bytes of all files below a directory; what vanishes meanwhile counts as 0."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read_report(path: str) -> CrashReport:
    file = os.path.join(path, "report.json")
    try:
        return CrashReport.from_json(read_json_file(file))
    except (OSError, ValueError) as error:
        problem = SoftError(
            code="report_not_readable", where="report.json", message=str(error)[:500]
        )
        return CrashReport(soft_errors=(problem,))
