"""Files by the hash of their content: `blobs/ab/abcdef…`, where the name is the SHA-256 in hex.

Names never come from a client. A blob is complete and on the disk before its name exists: it is
written under a temporary name in `incoming/`, synced, linked, and the folder is synced. The same
content is stored once. The temporary name goes last, after the transaction that refers to the blob.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import uuid
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from lastwords.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["BlobWriter", "Blobs"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


class Blobs:
    """The blobs below `root`; new ones grow in `incoming`, which is on the same file system."""

    def __init__(self, root: Path, incoming: Path) -> None:
        self.root = root
        self.incoming = incoming
        self._lock = threading.Lock()
        self._additions = 0

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Hold off the removal of blobs, from keeping one to the transaction that refers to it."""
        with self._lock:
            self._additions += 1
        try:
            yield
        finally:
            with self._lock:
                self._additions -= 1

    @contextmanager
    def no_additions(self) -> Iterator[bool]:
        """Hold off additions; gives `False`, and holds off nothing, while one is under way."""
        with self._lock:
            yield self._additions == 0

    def writer(self) -> BlobWriter:
        """Begin a blob of unknown size and hash."""
        return BlobWriter(self)

    def path(self, sha256: str) -> Path:
        """Return where a blob is or would be.

        Raises:
            StoreError: `blob_missing`, when `sha256` is not 64 lower-case hexadecimal digits.
        """
        if not _SHA256.fullmatch(sha256):
            raise StoreError("blob_missing", f"{sha256!r} is not the SHA-256 of a blob", None)
        return self.root / sha256[:2] / sha256

    def read(self, sha256: str) -> bytes:
        """Read a blob whole and check that its content still has its hash.

        Raises:
            StoreError: `blob_missing` or `blob_damaged`.
        """
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(
                "blob_missing",
                f"the file {path} of the blob {sha256} cannot be read: {error.strerror}",
                "restore the blobs folder from a backup; the report's other files are unharmed",
            ) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise StoreError(
                "blob_damaged",
                f"the {len(content)} bytes of {path} do not have the hash that names them",
                "restore this file from a backup, and check the disk",
            )
        return content

    def recover(self, is_known: Callable[[str], bool]) -> None:
        """Remove what earlier processes left unfinished; only for the owner of the store.

        A file with a second name was kept; unless `is_known` says that the index has its hash, that
        name is removed too.
        """
        for path in self.incoming.iterdir():
            if path.stat().st_nlink > 1:
                sha256 = _sha256_of(path)
                if not is_known(sha256):
                    self.path(sha256).unlink(missing_ok=True)
            path.unlink()

    def free_bytes(self) -> int:
        """Return the free space of the file system that holds the blobs, for an ordinary user."""
        return shutil.disk_usage(self.root).free


class BlobWriter:
    """A blob that grows; a context manager that leaves nothing behind unless `keep` was called."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._path = blobs.incoming / uuid.uuid4().hex
        self._file: IO[bytes] = self._path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        """Bytes written so far."""

    def __enter__(self) -> BlobWriter:  # noqa: PYI034  (Self needs Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, chunk: bytes) -> None:
        """Append `chunk`."""
        view = memoryview(chunk)
        while view:  # an unbuffered file may take a part only, as when the disk is nearly full
            view = view[self._file.write(view) :]
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def seal(self) -> None:
        """End the content and give the file descriptor back; `keep` or `discard` follow later."""
        self._file.close()

    def keep(self) -> tuple[str, int]:
        """Make the blob durable under its name; returns its SHA-256 and its size in bytes.

        Keeping content that is there already costs no second copy.
        """
        self._file.close()
        _sync(self._path, os.O_RDONLY)
        sha256 = self._hash.hexdigest()
        final = self._blobs.path(sha256)
        if not final.exists():
            if not final.parent.exists():
                final.parent.mkdir(exist_ok=True)
                sync_directory(final.parent.parent)
            with suppress(FileExistsError):
                final.hardlink_to(self._path)
        sync_directory(final.parent)  # also when another writer made the name a moment ago
        return sha256, self.size_bytes

    def discard(self) -> None:
        """Forget the growing file; a blob that was kept has its own name by then.

        To be called after the transaction that refers to the blob: until then the file says, after
        a crash, which blob may be without a reference.
        """
        self._file.close()
        self._path.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sha256_of(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            content.update(chunk)
    return content.hexdigest()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
