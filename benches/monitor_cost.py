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
            pid = int(process.stdout.readline())
            monitor = _monitor_of(pid)
            before = _cpu_ns(monitor)
            time.sleep(IDLE_S)
            used = (_cpu_ns(monitor) - before) / IDLE_S / 1e7
            command = "benches/programs/many_threads.py, /proc/PID/{smaps_rollup,schedstat}"
            return [
                Row(promise="monitor, resident memory", value=_memory_kib(monitor, "Rss"),
                    unit="KiB", command=command),
                Row(promise="monitor, memory of its own", unit="KiB", command=command,
                    value=_memory_kib(monitor, "Private_Dirty")),
                Row(promise="monitor, idle", value=used, unit="% of a processor", command=command),
            ]  # fmt: skip
        finally:
            process.kill()
            process.communicate()


def _monitor_of(pid: int) -> int:
    """The monitor of process `pid`: found by name among the processes that know it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            parent = re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        is_child = parent is not None and int(parent[1]) == pid
        if is_child and b"lastwords-monitor" in arguments[0]:
            return int(folder.name)
    sys.exit(f"error: process {pid} has no monitor")


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
