"""Keeps a spool within its limits, and counts what was lost by it."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

from lastwords.errors import SpoolError
from lastwords.report.json_text import json_text, read_json_file
from lastwords.spool.spool import Spool, directory_size
from lastwords.spool.writer import write_file

__all__ = ["PruneResult", "lost_undelivered", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """What one pruning removed; `undelivered` counts reports that nobody has seen."""

    completed: int = 0
    undelivered: int = 0
    freed_bytes: int = 0
    size_bytes: int = 0


def prune(
    spool: Spool, *, max_bytes: int, keep_days: float, now: float | None = None
) -> PruneResult:
    """Remove old completed reports, then the oldest of all until the spool fits.

    Args:
        spool: The spool; reports that another process is sending are passed over.
        max_bytes: Size that all reports together may have.
        keep_days: Age above which completed reports go, in days since they were completed.
        now: The time, in seconds since 1970; the clock's when `None`.

    Returns:
        What was removed. Undelivered reports go last, and their number is added to `pruned.json`
        in the spool, which `lost_undelivered()` reads.
    """
    clock = time.time() if now is None else now
    entries = [
        (state, report_id, directory_size(spool.path(state, report_id)))
        for state in ("completed", "pending")
        for report_id in spool.ids(state)
    ]
    size_bytes = sum(size for _, _, size in entries)
    removed = {"completed": 0, "pending": 0}
    freed_bytes = 0
    for state, report_id, size in entries:
        is_old = state == "completed" and _age_s(spool, report_id, clock) > keep_days * 86_400
        if not is_old and size_bytes - freed_bytes <= max_bytes:
            continue
        with contextlib.suppress(SpoolError):
            spool.delete(state, report_id)
            removed[state] += 1
            freed_bytes += size
    if removed["pending"]:
        _count_lost(spool, removed["pending"])
    return PruneResult(
        completed=removed["completed"],
        undelivered=removed["pending"],
        freed_bytes=freed_bytes,
        size_bytes=size_bytes - freed_bytes,
    )


def _age_s(spool: Spool, report_id: str, now: float) -> float:
    path = spool.path("completed", report_id)
    times = []
    for name in ("delivery.json", "report.json", ""):
        with contextlib.suppress(OSError):
            times.append(os.stat(os.path.join(path, name)).st_mtime)
    return now - times[0] if times else 0.0


def lost_undelivered(spool: Spool) -> int:
    """Return how many undelivered reports pruning has removed since the spool was made."""
    try:
        count = read_json_file(os.path.join(spool.directory, "pruned.json")).get("undelivered")
    except (OSError, ValueError):
        return 0
    return count if isinstance(count, int) else 0


def _count_lost(spool: Spool, more: int) -> None:
    path = os.path.join(spool.directory, "pruned.json")
    document = {"undelivered": lost_undelivered(spool) + more, "last": time.time()}
    with contextlib.suppress(OSError):
        write_file(path + ".tmp", json_text(document).encode())
        os.replace(path + ".tmp", path)
