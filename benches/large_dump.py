"""A full dump of 8 GiB: memory and time until its stacks are on the terminal."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benches.measure import PROGRAMS, Row, environment, home, peak_kib, run

__all__ = ["large_dump"]

SIZE_MIB = 8192
COUNT = 7


def large_dump() -> list[Row]:
    """`lastwords analyze` with a full symbol cache, as on every look but the first."""
    with home() as folder:
        dump = _dump(folder)
        command = [str(Path(sys.executable).with_name("lastwords")), "analyze", str(dump)]
        seconds = [_seconds(command, folder) for _ in range(COUNT + 1)][1:]
        peak_mib = peak_kib(command, folder) / 1024
        size_gib = dump.stat().st_size / 2**30
    subject = f"`lastwords analyze` of a full dump of {size_gib:.1f} GiB"
    measured = f"from the shell to the text, median of {COUNT}"
    return [
        Row(promise=subject, value=statistics.median(seconds), unit="s", limit=0.5,
            command=measured),
        Row(promise="the same, most resident memory", value=peak_mib, unit="MiB", limit=150,
            command="wait4(2)"),
    ]  # fmt: skip


def _dump(folder: Path) -> Path:
    program = [sys.executable, str(PROGRAMS / "touched_memory.py"), str(SIZE_MIB)]
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(folder)
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        verb = [sys.executable, "-m", "lastwords", "dump", "-ma", "--json", str(process.pid)]
        return folder / json.loads(run(verb, folder).stdout)["dumps"][0]["file"]
    finally:
        process.kill()
        process.communicate()


def _seconds(command: list[str], folder: Path) -> float:
    start = time.monotonic_ns()
    run(command, folder)
    return (time.monotonic_ns() - start) / 1e9
