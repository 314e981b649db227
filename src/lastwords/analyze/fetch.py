"""Analyses with downloads: what a first one lacks is downloaded, and a second one has it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lastwords.analyze.dump import analyze_dump_json
from lastwords.symbols.download import FAILED_BEFORE, FileState
from lastwords.symbols.wanted import missing_modules, modules_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from lastwords.symbols.download import Download, Downloader
    from lastwords.symbols.places import Places
    from lastwords.symbols.wanted import WantedModule

__all__ = ["analyze_with_downloads", "lacks_code", "with_downloads"]

_MAX_ROUNDS = 3
_MAX_FAILURES = 100


def analyze_with_downloads(  # noqa: PLR0913  (one parameter per option)
    path: str | os.PathLike[str],
    *,
    places: Places,
    downloader: Downloader,
    local_modules: bool = True,
    max_frames: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> tuple[bytes, tuple[Download, ...]]:
    """Analyse a minidump, downloading what its modules with frames lack.

    New symbols may show frames in further modules, so this is repeated, at most three times.

    Returns:
        The core's document, with what servers failed at among its soft errors, and what became of
        the downloads.

    Raises:
        DumpError: The file gives no analysis at all.
        SymbolsError: A source is not there, or a cache cannot be used.
    """

    def analyze() -> bytes:
        return analyze_dump_json(
            path,
            symbols=places.all_paths,
            local_modules=local_modules,
            max_frames=max_frames,
            cache_dir=cache_dir,
        )

    document, downloads = with_downloads(analyze, downloader)
    return _with_failures(document, downloads), downloads


def _with_failures(document: bytes, downloads: tuple[Download, ...]) -> bytes:
    """Note what failed, of each server each reason once."""
    failed = [one for one in downloads if one.state == FileState.FAILED]
    if not failed:
        return document
    first: dict[tuple[str, str], str | None] = {}
    for one in failed:
        reason = (one.reason or "").removeprefix(FAILED_BEFORE)
        first.setdefault((urlsplit(one.url or "").netloc, reason), one.url)
    analysis = json.loads(document)
    analysis.setdefault("soft_errors", []).extend(
        {"code": "symbols_not_downloaded", "where": url or "a server", "message": reason}
        for (_, reason), url in islice(first.items(), _MAX_FAILURES)
    )
    return json.dumps(analysis, ensure_ascii=False).encode()


def with_downloads(
    analyze: Callable[[], bytes], downloader: Downloader
) -> tuple[bytes, tuple[Download, ...]]:
    """Analyse again and again, with downloads between, until nothing that is lacking comes.

    Args:
        analyze: Makes the core's document, with the symbols that are there by then.
        downloader: Fills the places that `analyze` looks at.
    """
    downloads: list[Download] = []
    asked: set[WantedModule] = set()
    for rounds_left in reversed(range(_MAX_ROUNDS + 1)):
        document = analyze()
        modules = list(modules_of(json.loads(document)))
        missing = [one for one in missing_modules(modules) if _key(one) not in asked]
        if not missing or not rounds_left:
            break
        asked.update(_key(one) for one in missing)
        found = downloader.fetch(missing, wants_code=[one for one in missing if lacks_code(one)])
        downloads.extend(found)
        if not any(download.path for download in found):
            break
    return document, tuple(downloads)


def _key(module: WantedModule) -> WantedModule:
    """The module without what searches say of it."""
    return replace(module, has_frames=True, status="missing", kind=None, path=None)


def lacks_code(module: WantedModule) -> bool:
    """Whether not even the module's own file was found, which unwinding reads."""
    return module.status != "loaded"
