"""What a run over many dumps is told, and what comes out of it for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BulkOrder", "Failure", "Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOrder:
    """How the dumps of one run are analysed.

    Attributes:
        wants_documents: Whether whole analysis documents are wanted, else summaries.
        symbols: Symbol sources as the command line takes them, addresses of servers too.
        debuginfod: Whether the servers of `DEBUGINFOD_URLS` are asked.
        insecure_http: Whether `http://` addresses of other machines may be asked.
        local_modules: Whether module files named in dumps may be read from this machine.
        max_frames: Frames kept of one thread; `None` = 4,096.
        cache_dir: Folder in which answers about symbols are kept; all workers share it.
        in_app: Patterns of in-app frames, see `lastwords.signature.in_app`.
        not_in_app: Patterns of frames that are not.
        timeout_s: Time for one dump; a worker that needs more is ended.
        max_memory_bytes: Address space of one worker.
    """

    wants_documents: bool = True
    symbols: tuple[str, ...] = ()
    debuginfod: bool = False
    insecure_http: bool = False
    local_modules: bool = True
    max_frames: int | None = None
    cache_dir: str | None = None
    in_app: tuple[str, ...] = ()
    not_in_app: tuple[str, ...] = ()
    timeout_s: float = 60.0
    max_memory_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a dump gave nothing; `code` is one of `lastwords.errors.CODES`."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one dump.

    Attributes:
        index: Its place in the input.
        path: The file.
        answer: The analysis document, or a summary as JSON; `None` for a failure.
        is_partial: Whether something could not be had of it.
        failure: Why there is no answer.
    """

    index: int
    path: Path
    answer: bytes | None = None
    is_partial: bool = False
    failure: Failure | None = None
