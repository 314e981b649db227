"""A worker: analyses one dump after the other for the pool, and may die of any of them.

It reads from stdin, as lines of JSON, first its order (`BulkOrder`), then the paths of dumps. To
stdout it answers each path with a head of nine bytes and a body.

| offset | size | type | field | meaning |
|---|---|---|---|---|
| 0 | 1 | u8 | kind | `0` answer, `1` answer of a partial analysis, `2` a `Failure` as JSON |
| 1 | 8 | u64, little-endian | size | bytes of the body |

The time for a dump is kept by the kernel: `SIGALRM`, left at its default action, ends a worker that
hangs, wherever it hangs, and also when nobody is left who waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastwords.analyze.bulk.order import BulkOrder, Failure
from lastwords.errors import LastwordsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastwords.symbols.download import Downloader
    from lastwords.symbols.places import Places

__all__ = ["HEAD", "main", "serve"]

HEAD = struct.Struct("<BQ")
ANSWER, PARTIAL, FAILED = range(3)

_Answer = tuple[bytes, bool]


def main() -> None:
    """Run a worker to the end of its stdin."""
    serve(_analyze)


def serve(analyze: Callable[[Path, BulkOrder], _Answer]) -> None:
    """Answer until stdin ends.

    Args:
        analyze: Returns the answer about one dump, and whether it is partial.
    """
    order = _order(json.loads(sys.stdin.buffer.readline()))
    _limit_memory(order.max_memory_bytes)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints may not stand between answers
    for line in sys.stdin.buffer:
        path = Path(json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, order.timeout_s)
        kind, body = _answer(analyze, path, order)
        signal.setitimer(signal.ITIMER_REAL, 0)
        out.write(HEAD.pack(kind, len(body)))
        out.write(body)
        out.flush()


def _order(given: dict[str, Any]) -> BulkOrder:
    """JSON knows no tuples, and an order is a key of what is kept."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }
    return BulkOrder(**values)


def _answer(
    analyze: Callable[[Path, BulkOrder], _Answer], path: Path, order: BulkOrder
) -> tuple[int, bytes]:
    try:
        body, is_partial = analyze(path, order)
    except LastwordsError as error:
        failure = Failure(code=error.code, message=error.message, hint=error.hint)
        return FAILED, json.dumps(asdict(failure)).encode()
    except MemoryError:
        mib = order.max_memory_bytes >> 20
        message = f"{path}: the analysis needs more than {mib} MiB of memory"
        failure = Failure(code="analysis_died", message=message, hint="--max-memory MIB")
        return FAILED, json.dumps(asdict(failure)).encode()
    return (PARTIAL if is_partial else ANSWER), body


def _limit_memory(max_bytes: int) -> None:
    """Bound the address space: what takes more ends this worker, not the machine."""
    import resource  # noqa: PLC0415  (not on every system)

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _analyze(path: Path, order: BulkOrder) -> _Answer:
    from lastwords.analyze.crash_file import opened_as_minidump, with_origin  # noqa: PLC0415

    with opened_as_minidump(path) as file:
        document = with_origin(_document(file.path, order), file)
    if order.wants_documents:
        return document, _is_partial(document)
    from lastwords.analyze.bulk.summary import summary_of  # noqa: PLC0415
    from lastwords.analyze.decode import decode_analysis  # noqa: PLC0415
    from lastwords.signature.in_app import InApp  # noqa: PLC0415

    analysis = decode_analysis(document)
    in_app = InApp(analysis.modules, only=order.in_app, never=order.not_in_app)
    return summary_of(analysis, in_app).to_json(), analysis.is_partial


def _document(path: Path, order: BulkOrder) -> bytes:
    from lastwords.analyze.dump import analyze_dump_json  # noqa: PLC0415

    places = _places(order)
    if not places.servers:
        return analyze_dump_json(
            path,
            symbols=places.all_paths,
            local_modules=order.local_modules,
            max_frames=order.max_frames,
            cache_dir=order.cache_dir,
        )
    from lastwords.analyze.fetch import analyze_with_downloads  # noqa: PLC0415

    document, _ = analyze_with_downloads(
        path,
        places=places,
        downloader=_downloader(order),
        local_modules=order.local_modules,
        max_frames=order.max_frames,
        cache_dir=order.cache_dir,
    )
    return document


@cache
def _places(order: BulkOrder) -> Places:
    from lastwords.symbols.places import parse_places  # noqa: PLC0415

    return parse_places(
        order.symbols, debuginfod=order.debuginfod, insecure_http=order.insecure_http
    )


@cache
def _downloader(order: BulkOrder) -> Downloader:
    """The same one for all dumps: it asks a server that failed no more."""
    from lastwords.symbols.download import Downloader  # noqa: PLC0415
    from lastwords.symbols.http_get import GetLimits  # noqa: PLC0415

    limits = GetLimits(insecure_http=order.insecure_http)
    return Downloader(servers=_places(order).servers, limits=limits, parallel=2)


def _is_partial(document: bytes) -> bool:
    """Whether the document lists soft errors; it is not decoded where it says that it has none."""
    if b'"soft_errors":[]' in document:
        return False
    return bool(json.loads(document).get("soft_errors"))
