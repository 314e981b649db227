"""The folder that keeps downloads: a symbol store that is a source of the next analysis too.

| path | what |
|---|---|
| `name/ID/file`, `.build-id/xx/yyyy.debug` | what was downloaded, verified |
| `.lastwords/partial/HASH` | downloads that broke off |
| `.lastwords/absent/HASH` | empty; a server said that it has no such file |
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

__all__ = ["DownloadCache"]

_ABSENT_S = 24 * 3600.0
_OWN = ".lastwords"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadCache:
    """One cache folder.

    Attributes:
        root: The folder; made when something is kept.
        absent_s: Seconds for which the answer that there is no such file is remembered.
    """

    root: Path
    absent_s: float = _ABSENT_S

    def kept(self, kept_as: PurePosixPath) -> Path | None:
        """The file, if it is there."""
        path = self.root / kept_as
        return path if path.is_file() else None

    def partial(self, url: str) -> Path:
        """Where the download of an address goes until it is whole.

        Raises:
            SymbolsError: `symbols_cache_not_usable`.
        """
        return self._own("partial", url)

    def is_absent(self, url: str) -> bool:
        """Whether the server said lately that it has no such file."""
        path = self.root / _OWN / "absent" / _hash(url)
        try:
            age_s = time.time() - path.stat().st_mtime
        except OSError:
            return False
        return 0 <= age_s < self.absent_s

    def note_absent(self, url: str) -> None:
        """Remember that a server has no such file."""
        path = self._own("absent", url)
        with contextlib.suppress(OSError):
            path.touch()
            os.utime(path)

    def keep(self, partial: Path, kept_as: PurePosixPath) -> Path:
        """Move a whole, verified file to its place; another process's is as good.

        Raises:
            SymbolsError: `symbols_cache_not_usable`.
        """
        path = self.root / kept_as
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(path)
        except OSError as error:
            raise _not_usable(self.root, error) from error
        return path

    def _own(self, kind: str, url: str) -> Path:
        folder = self.root / _OWN / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_usable(self.root, error) from error
        return folder / _hash(url)


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _not_usable(root: Path, error: OSError) -> SymbolsError:
    return SymbolsError(
        "symbols_cache_not_usable",
        f"the folder for downloads {root} cannot be used: {error.strerror or error}",
        "give another one: --symbols 'srv*DIR*URL', or --cache DIR",
    )
