"""A full dump of 1 GiB: how long the process stands still, how long it takes, beside two peers."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benches.measure import PROGRAMS, Row, environment, home, version_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["full_dump_time"]

PROGRAM = PROGRAMS / "large_memory.py"
SIZE_MIB = 1024
COUNT = 5


def full_dump_time() -> list[Row]:
    """Ours, gcore's and a plain write take turns, so that a busy disk hits all of them."""
    ours, cores, writes = [], [], []
    has_gcore = shutil.which("gcore") is not None
    for _ in range(COUNT):
        with home() as folder:
            taken, stopped, size = _dump(folder)
            ours.append((taken, stopped))
        with home() as folder:
            writes.append(_write(folder, int(size)))
        if has_gcore:
            with home() as folder:
                cores.append(_gcore(folder))
    taken_ms, stopped_ms = (statistics.median(column) for column in zip(*ours, strict=True))
    core_ms, held_ms = (
        (statistics.median(column) for column in zip(*cores, strict=True))
        if cores
        else (None, None)
    )
    gcore = "gcore, " + version_of("gdb", "--version")
    command = (
        f"benches/programs/large_memory.py ({SIZE_MIB} MiB of random bytes), median of {COUNT}"
    )
    return [
        Row(promise="full dump of 1 GiB: the process stands still", value=stopped_ms, unit="ms",
            peer=gcore, peer_value=held_ms, command=command, limit=50),
        Row(promise="full dump of 1 GiB: `dump()` → complete", value=taken_ms, unit="ms",
            peer=gcore, peer_value=core_ms, command=command, ratio_limit=1.0),
        Row(promise="full dump of 1 GiB: `dump()` → complete", value=taken_ms, unit="ms",
            peer="as many bytes written plainly", peer_value=statistics.median(writes),
            command=command, ratio_limit=1 / 0.6),
    ]  # fmt: skip


def _start(folder: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, folder / "spool", str(SIZE_MIB), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(folder),
        text=True,
    )


def _dump(folder: Path) -> tuple[float, float, float]:
    """Milliseconds of the whole, of the longest standstill; bytes."""
    with _start(folder, "dump") as process:
        output, _ = process.communicate(timeout=300)
    taken, stopped, size = map(float, output.split())
    return taken, stopped, size


def _gcore(folder: Path) -> tuple[float, float]:
    """Milliseconds of the whole, and of the longest standstill."""
    with _start(folder, "wait") as process:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        start = time.monotonic_ns()
        subprocess.run(["gcore", "-o", folder / "core", pid], check=True, capture_output=True)
        taken = (time.monotonic_ns() - start) / 1e6
        output, _ = process.communicate("\n", timeout=60)
    return taken, float(output)


def _write(folder: Path, size: int) -> float:
    """Milliseconds of writing so many bytes, a MiB at a time."""
    piece = os.urandom(1 << 20)
    start = time.monotonic_ns()
    with (folder / "plain").open("wb", buffering=0) as file:
        for _ in range(0, size, len(piece)):
            file.write(piece)
    return (time.monotonic_ns() - start) / 1e6
