"""Making a report in the spool: `new/ID/`, filled, made durable, moved to `pending/ID/`.

Runs in processes that are about to end, so it imports next to nothing, allocates little and
leaves nothing half done: a report is seen in `pending/` completely or not at all.
"""

from __future__ import annotations

import errno
import os
import stat

from lastwords.errors import SpoolError

__all__ = [
    "ATTACHMENT_LIMIT_BYTES",
    "SESSIONS",
    "STATES",
    "ReportWriter",
    "client_id",
    "ensure_spool",
    "has_reports",
    "is_report_id",
    "new_report_id",
    "spool_error",
    "sync_dir",
    "write_file",
]

STATES = ("new", "pending", "completed")
"""The stages of a report's life; each is a directory of the spool."""

SESSIONS = "sessions"
"""Directory of the spool with a file for each process that is watched."""

ATTACHMENT_LIMIT_BYTES = 1024 * 1024
"""Of longer files the last MiB is kept."""

_CHUNK_BYTES = 64 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def new_report_id() -> str:
    """Make a random UUID (RFC 9562, version 4) in lower case with dashes."""
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def is_report_id(text: object) -> bool:
    """Whether a text has the form of a report id, and so is safe as a directory's name."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    return all(
        char == "-" if index in (8, 13, 18, 23) else char in "0123456789abcdef"
        for index, char in enumerate(text)
    )


def spool_error(doing: str, path: str, error: OSError) -> SpoolError:
    """Say what an operating system error means for the spool."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NO_SPACE:
        return SpoolError(
            "spool_no_space",
            f"{doing} {path} failed: {reason}",
            "free some space, or give install() a dump_dir on another disk",
        )
    return SpoolError(
        "spool_not_usable",
        f"{doing} {path} failed: {reason}",
        "give install() a dump_dir that this user may write to",
    )


def ensure_spool(directory: str) -> None:
    """Make the spool directory (mode 0700) and its stages, and see that they can be written.

    Raises:
        SpoolError: It cannot be made or written.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        for state in (*STATES, SESSIONS):
            path = os.path.join(directory, state)
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                # A link could lead the reports into somebody else's directory.
                if os.path.islink(path) or not os.path.isdir(path):
                    raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path) from None
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "no permission to read and write", path)
    except OSError as error:
        raise spool_error("using the spool directory", directory, error) from error


def has_reports(directory: str) -> bool:
    """Whether any stage of the spool holds something; `False` when it cannot be read."""
    try:
        return any(os.listdir(os.path.join(directory, state)) for state in STATES)
    except OSError:
        return False


def client_id(directory: str) -> str:
    """Return the random id of this installation, made when first asked for.

    It is kept in the spool, so removing the spool makes a new one and two products never share
    one. Two processes that start together agree on one.

    Raises:
        SpoolError: It can be neither read nor written.
    """
    path = os.path.join(directory, "client_id")
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        known = _read_id(path)
        if known is None:
            # Not waited for: after a power failure an empty file is made anew.
            write_file(temporary, (new_report_id() + "\n").encode(), is_durable=False)
            known = _first_id(temporary, path)
    except OSError as error:
        raise spool_error("keeping the client id in", path, error) from error
    return known


def _first_id(temporary: str, path: str) -> str:
    """Put the file in place unless another process was first; returns the id that counts."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        known = _read_id(path)
        if known is not None:
            os.unlink(temporary)
            return known
        os.replace(temporary, path)  # what lies there is damaged
    except OSError:
        os.replace(temporary, path)  # a file system without hard links
    else:
        os.unlink(temporary)
    return _read_id(path) or new_report_id()


def _read_id(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(64).strip()
    except FileNotFoundError:
        return None
    return text if is_report_id(text) else None


def write_file(path: str, data: bytes, *, is_durable: bool = True) -> None:
    """Write a file (mode 0600), and wait until it is on the disk if it has to be durable."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if is_durable:
            _sync(fd)
    finally:
        os.close(fd)


def sync_dir(path: str) -> None:
    """Wait until the entries of a directory are on the disk, where the system can do that."""
    try:
        fd = os.open(path, os.O_RDONLY | _CLOEXEC)
    except OSError:  # Windows does not open directories
        return
    try:
        _sync(fd)
    finally:
        os.close(fd)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


class ReportWriter:
    """One report that is being made.

    Args:
        directory: A spool for which `ensure_spool()` has been called.
        report_id: Its id; a new one when `None`.

    Attributes:
        report_id: Its id.
        path: `SPOOL/new/ID`.
    """

    __slots__ = ("_directory", "_names", "path", "report_id")

    def __init__(self, directory: str, report_id: str | None = None) -> None:
        self._directory = directory
        self._names: set[str] = set()
        self.report_id = report_id or new_report_id()
        self.path = os.path.join(directory, "new", self.report_id)
        try:
            os.mkdir(self.path, 0o700)
        except OSError as error:
            raise spool_error("making the report", self.path, error) from error

    def attach(self, source: str) -> dict[str, object]:
        """Copy the last MiB of a regular file into the report.

        Returns:
            Its entry for `attachments` in `report.json`.

        Raises:
            OSError: It cannot be read, is not a regular file, or there is no space for it; what
                was written of the copy is removed.
        """
        name = self._free_name(os.path.basename(source))
        folder = os.path.join(self.path, "attachments")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # O_NONBLOCK: opening a FIFO that nobody writes to would wait for ever.
        fd = os.open(source, os.O_RDONLY | _CLOEXEC | _NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", source)
            start = max(0, status.st_size - ATTACHMENT_LIMIT_BYTES)
            os.lseek(fd, start, os.SEEK_SET)
            target = os.path.join(folder, name)
            try:
                size_bytes = _copy(fd, target)
            except OSError:
                _remove_quietly(target)
                raise
        finally:
            os.close(fd)
        self._names.add(name)
        file = f"attachments/{name}"
        return {"name": name, "file": file, "size_bytes": size_bytes, "is_cut": start > 0}

    def _free_name(self, name: str) -> str:
        kept = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
        kept = kept.lstrip(".")[-100:] or "file"
        candidate, number = kept, 2
        while candidate in self._names:
            candidate, number = f"{number}_{kept}", number + 1
        return candidate

    def drop_attachments(self) -> None:
        """Remove what was attached, to make room for the document."""
        for name in self._names:
            _remove_quietly(os.path.join(self.path, "attachments", name))
        self._names.clear()

    def write_document(self, text: str) -> None:
        """Write `report.json`.

        Raises:
            SpoolError: It is not completely on the disk.
        """
        path = os.path.join(self.path, "report.json")
        try:
            write_file(path, text.encode("ascii", "backslashreplace"))
        except OSError as error:
            _remove_quietly(path)
            raise spool_error("writing", path, error) from error

    def commit(self) -> str:
        """Move the report to `pending/` in one step.

        Returns:
            Its directory there.

        Raises:
            SpoolError: It stays in `new/`, from where the next start recovers it.
        """
        target = os.path.join(self._directory, "pending", self.report_id)
        try:
            sync_dir(self.path)
            os.rename(self.path, target)
            sync_dir(os.path.dirname(target))
        except OSError as error:
            raise spool_error("moving the report to", target, error) from error
        return target

    def abandon(self) -> None:
        """Remove the report; never raises."""
        self.drop_attachments()
        _remove_quietly(os.path.join(self.path, "report.json"))
        for path in (os.path.join(self.path, "attachments"), self.path):
            try:
                os.rmdir(path)
            except OSError:  # noqa: PERF203  (each by itself)
                continue


def _copy(fd: int, target: str) -> int:
    """Copy at most the attachment limit from an open file; returns the number of bytes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC
    copy = os.open(target, flags, 0o600)
    size_bytes = 0
    try:
        while size_bytes < ATTACHMENT_LIMIT_BYTES:
            data = os.read(fd, min(_CHUNK_BYTES, ATTACHMENT_LIMIT_BYTES - size_bytes))
            if not data:
                break
            size_bytes += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(copy, view) :]
        _sync(copy)
    finally:
        os.close(copy)
    return size_bytes


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
