"""What a second analysis of the same build costs, with what was kept of the first one."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from typing import TYPE_CHECKING

from benches.measure import PROGRAMS, Row, dump_of_five_threads, home, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["symbol_cache"]

COUNT = 21


def symbol_cache() -> list[Row]:
    """A dump of a Python process with five threads, each analysis in a process of its own.

    The three ways take turns, so that a busy moment of the machine hits all of them.
    """
    with home() as folder:
        dump = dump_of_five_threads(folder)
        cache = folder / "symbols"
        times: dict[str, list[float]] = {"none": [], "empty": [], "full": []}
        for _ in range(COUNT):
            times["none"].append(_analyse_ms(dump, None, folder))
            shutil.rmtree(cache, ignore_errors=True)
            times["empty"].append(_analyse_ms(dump, cache, folder))
            times["full"].append(_analyse_ms(dump, cache, folder))
        size_kib = dump.stat().st_size / 1024
        kept_kib = sum(path.stat().st_size for path in cache.iterdir()) / 1024
    without = statistics.median(times["none"])
    subject = f"a mini dump of {size_kib:.0f} KiB of a Python process with five threads"
    command = f"benches/symbol_cache.py, the core's call in a fresh process, median of {COUNT}"
    peer = {"peer": "without a symbol cache", "peer_value": without, "unit": "ms"}
    return [
        Row(promise=f"analysis of {subject}, symbol cache full",
            value=statistics.median(times["full"]), command=command, limit=10, **peer),
        Row(promise="the same, symbol cache empty",
            value=statistics.median(times["empty"]), command=command, ratio_limit=1.15, **peer),
        Row(promise="what is kept of it", value=kept_kib, unit="KiB", command=command),
    ]  # fmt: skip


def _analyse_ms(dump: Path, cache: Path | None, folder: Path) -> float:
    options = {} if cache is None else {"cache_dir": str(cache)}
    program = PROGRAMS / "analyse_once.py"
    done = run([sys.executable, program, dump, json.dumps(options)], folder)
    return int(done.stdout) / 1e6
