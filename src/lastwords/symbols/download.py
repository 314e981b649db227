"""Downloads of the files that modules lack: in parallel, verified by id, kept in a cache."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from lastwords.symbols.download_cache import DownloadCache
from lastwords.symbols.http_get import GetLimits, Outcome, Result, get_file
from lastwords.symbols.identify import identify_files
from lastwords.symbols.requests import Request, requests_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lastwords.symbols.places import Server
    from lastwords.symbols.wanted import WantedModule

__all__ = ["FAILED_BEFORE", "Download", "Downloader", "FileState", "Progress"]

_MAX_POINTER_BYTES = 64 * 1024
_UNREACHABLE_LIMIT = 3


FAILED_BEFORE = "the server failed before: "
"""Begins the reason of what was not asked for any more; behind it stands why."""


class FileState:
    """Words for what became of one file."""

    DOWNLOADED = "downloaded"
    CACHED = "cached"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What became of one file of one module.

    Attributes:
        module: Whose.
        role: `debug` or `code`.
        state: One of `FileState`.
        path: The file; `None` when there is none.
        url: Of the file, or of what failed last.
        reason: Why there is none.
        size_bytes: What was downloaded.
    """

    module: WantedModule
    role: str
    state: str
    path: Path | None = None
    url: str | None = None
    reason: str | None = None
    size_bytes: int = 0


class Progress(Protocol):
    """Who shows how far downloads are."""

    def advance(self, url: str, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """`done_bytes` of a file are there."""

    def end(self, url: str) -> None:
        """The download of a file ended, however."""


@dataclass(slots=True, kw_only=True)
class Downloader:
    """Asks servers, in the order given, for the files of modules.

    Attributes:
        servers: Whom.
        limits: Of one file.
        parallel: Files at a time.
        progress: Who shows it; nobody when `None`.
        is_fresh: Whether answers of the last day that there is no such file are forgotten.
    """

    servers: Sequence[Server]
    limits: GetLimits = GetLimits()  # noqa: RUF009  (frozen)
    parallel: int = 4
    progress: Progress | None = None
    is_fresh: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _failures: dict[str, list[str]] = field(default_factory=dict)

    def fetch(
        self, modules: Iterable[WantedModule], *, wants_code: Iterable[WantedModule] = ()
    ) -> tuple[Download, ...]:
        """Get debug files of `modules`, and the own files of those in `wants_code`.

        Raises:
            SymbolsError: A cache folder cannot be used.
            KeyboardInterrupt: As it came; downloads that were begun go on the next time.
        """
        code = set(wants_code)
        jobs = [(module, "debug") for module in modules]
        jobs += [(module, "code") for module in code]
        pool = ThreadPoolExecutor(max_workers=self.parallel, thread_name_prefix="lastwords-get")
        try:
            return tuple(pool.map(lambda job: self._get(*job), jobs))
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _get(self, module: WantedModule, role: str) -> Download:
        last = Download(
            module=module, role=role, state=FileState.ABSENT, reason="no server knows such files"
        )
        for server in self.servers:
            cache = DownloadCache(root=server.cache)
            for request in requests_for(module, server.protocol, wants_code=role == "code"):
                if request.role != role:
                    continue
                found = self._get_one(server, cache, module, request)
                if found.path is not None:
                    return found
                if found.state == FileState.FAILED or last.state != FileState.FAILED:
                    last = found
        return last

    def _get_one(  # noqa: PLR0911  (one per answer)
        self, server: Server, cache: DownloadCache, module: WantedModule, request: Request
    ) -> Download:
        url = f"{server.url}/{request.path}"
        answer = Download(module=module, role=request.role, state=FileState.FAILED, url=url)
        kept = cache.kept(request.kept_as)
        if kept and _is_right(kept, module):
            return replace(answer, state=FileState.CACHED, path=kept)
        if cache.is_absent(url) and not self.is_fresh:
            reason = "the server had no such file within the last day"
            return replace(answer, state=FileState.ABSENT, reason=reason)
        failures = self._failures.setdefault(server.url, [])
        if len(failures) >= _UNREACHABLE_LIMIT:
            return replace(answer, reason=f"{FAILED_BEFORE}{failures[-1]}")
        partial = cache.partial(url)
        result = self._download(url, partial, request)
        if result.outcome is Outcome.ABSENT:
            cache.note_absent(url)
            return replace(answer, state=FileState.ABSENT, reason=result.reason)
        if result.outcome is Outcome.FAILED:
            failures.append(result.reason or "")
            return replace(answer, reason=result.reason)
        failures.clear()
        if not _is_right(partial, module):
            partial.unlink(missing_ok=True)
            cache.note_absent(url)
            return replace(answer, reason="the file that came is not the module's: its id differs")
        path = cache.keep(partial, request.kept_as)
        return replace(answer, state=FileState.DOWNLOADED, path=path, size_bytes=result.size_bytes)

    def _download(self, url: str, partial: Path, request: Request) -> Result:
        if not request.is_pointer:
            return self._get_file(url, partial, request)
        small = replace(self.limits, max_bytes=_MAX_POINTER_BYTES)
        result = get_file(url, partial, small, stop=self._stop)
        if result.outcome is not Outcome.GOT:
            return result
        text = partial.read_text("utf-8-sig", "replace").strip()
        partial.unlink()
        target = text.removeprefix("PATH:").strip()
        if not re.match(r"https://", target, re.IGNORECASE):
            return Result(outcome=Outcome.ABSENT, reason=f"file.ptr says: {text[:200]}")
        return self._get_file(target, partial, request)

    def _get_file(self, url: str, partial: Path, request: Request) -> Result:
        progress = self.progress

        def advance(done: int, total: int | None) -> None:
            if progress is not None:
                progress.advance(url, request.kept_as.parts[0], done, total)

        try:
            return get_file(url, partial, self.limits, progress=advance, stop=self._stop)
        finally:
            if progress is not None:
                progress.end(url)


def _is_right(path: Path, module: WantedModule) -> bool:
    found = identify_files([path])[0]
    return found is not None and found.is_of(module)
