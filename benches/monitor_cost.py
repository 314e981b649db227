"""What the monitor costs while nothing happens: resident memory and processor time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from benches.measure import PROGRAMS, Row, environment, home

__all__ = ["monitor_cost"]

IDLE_S = 10.0


def monitor_cost() -> list[Row]:
    """Memory after start, and processor time over ten idle seconds."""
    with home() as folder:
        process = subprocess.Popen(
            [sys.executable, PROGRAMS / "many_threads.py", folder / "spool", "wait"],
            stdout=subprocess.PIPE,
            env=environment(folder),
            text=True,
        )
        assert process.stdout is not None
        try:
            monitor = int(process.stdout.readline().split()[1])
            before = _cpu_ns(monitor)
            time.sleep(IDLE_S)
            used = (_cpu_ns(monitor) - before) / IDLE_S / 1e7
            command = "benches/programs/many_threads.py, /proc/PID/{smaps_rollup,schedstat}"
            return [
                Row(promise="monitor, resident memory", value=_memory_kib(monitor, "Rss"),
                    unit="KiB", command=command, limit=4096),
                Row(promise="monitor, memory of its own", unit="KiB", command=command,
                    value=_memory_kib(monitor, "Private_Dirty")),
                Row(promise="monitor, idle", value=used, unit="% of a processor", command=command,
                    limit=0.1),
            ]  # fmt: skip
        finally:
            process.kill()
            process.communicate()


def _cpu_ns(pid: int) -> int:
    """Processor time so far (Documentation/scheduler/sched-stats.rst: first field, ns)."""
    return sum(
        int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def _memory_kib(pid: int, field: str) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")
