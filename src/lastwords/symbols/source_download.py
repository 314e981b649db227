"""Source files from the addresses that PDBs name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lastwords.symbols.download_cache import DownloadCache
from lastwords.symbols.http_get import GetLimits, Outcome, get_file
from lastwords.symbols.places import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SourceDownloads"]

_MAX_BYTES = 8 << 20
_FOLDER = "sources"


@dataclass(slots=True, kw_only=True)
class SourceDownloads:
    """Downloads source files, each once.

    Attributes:
        root: Folder that keeps them.
        insecure_http: Whether addresses without TLS may be of other machines.
        failures: Address → why there is no file.
    """

    root: Path
    insecure_http: bool = False
    failures: dict[str, str] = field(default_factory=dict)

    def get(self, url: str) -> Path | None:
        """Return the file at an address.

        Raises:
            SymbolsError: `symbols_cache_not_usable`.
        """
        if url in self.failures:
            return None
        parts = urlsplit(url)
        if parts.scheme.lower() != "https" and not (
            self.insecure_http or is_loopback(parts.hostname)
        ):
            self.failures[url] = "an address without TLS"
            return None
        cache = DownloadCache(root=self.root)
        name = parts.path.rsplit("/", 1)[-1][-80:] or "file"
        kept_as = PurePosixPath(_FOLDER, hashlib.sha256(url.encode()).hexdigest(), name)
        kept = cache.kept(kept_as)
        if kept is not None:
            return kept
        if cache.is_absent(url):
            self.failures[url] = "the server had no such file, less than a day ago"
            return None
        partial = cache.partial(url)
        limits = GetLimits(
            max_bytes=_MAX_BYTES, total_s=60, tries=2, insecure_http=self.insecure_http
        )
        result = get_file(url, partial, limits)
        if result.outcome == Outcome.GOT:
            return cache.keep(partial, kept_as)
        if result.outcome == Outcome.ABSENT:
            cache.note_absent(url)
        self.failures[url] = result.reason or "no file"
        return None
