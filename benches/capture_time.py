"""From the fault to the complete dump, and the dump's size, beside gcore on the same process."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from benches.measure import PROGRAMS, Row, environment, home, version_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["capture_time"]

PROGRAM = PROGRAMS / "many_threads.py"
COUNT = 15
THREADS, MODULES = 32, 100


def capture_time() -> list[Row]:
    """The time ends when the process is gone, and its dump is complete by then."""
    deaths = [_die() for _ in range(COUNT + 1)][1:]
    cores = [_gcore() for _ in range(3)] if shutil.which("gcore") else []
    command = f"benches/programs/many_threads.py ({THREADS} threads, {MODULES} modules), "
    command += f"median of {COUNT}"
    peer = "gcore, " + version_of("gdb", "--version")
    return [
        Row(promise="fault → dump complete and process gone",
            value=statistics.median(time_ms for time_ms, _ in deaths), unit="ms", peer=peer,
            peer_value=statistics.median(time_ms for time_ms, _ in cores) if cores else None,
            command=command, limit=60, ratio_limit=0.2),
        Row(promise="dump size", value=statistics.median(size for _, size in deaths), unit="KiB",
            peer=peer, command=command,
            peer_value=statistics.median(size for _, size in cores) if cores else None),
    ]  # fmt: skip


def _command(spool: Path, what: str, folder: Path) -> list[str | Path]:
    return [sys.executable, PROGRAM, spool, what, str(THREADS), str(MODULES), folder]


def _die() -> tuple[float, float]:
    """Milliseconds from the fault to the end of the process, and KiB of its dump."""
    with home() as folder:
        spool = folder / "spool"
        process = subprocess.Popen(
            _command(spool, "die", folder),
            stdout=subprocess.PIPE,
            env=environment(folder),
            text=True,
        )
        # Not `wait(timeout=…)`: that looks only every 50 ms.
        limit = threading.Timer(60, process.kill)
        limit.start()
        process.wait()
        gone = time.monotonic_ns()
        limit.cancel()
        assert process.stdout is not None
        with process.stdout as stdout:
            fault = int(stdout.read())
        (dump,) = _wait_for_dump(spool)
        return (gone - fault) / 1e6, dump.stat().st_size / 1024


def _wait_for_dump(spool: Path) -> list[Path]:
    end = time.monotonic() + 10
    while not (found := list(spool.glob("pending/*/dump.dmp"))) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def _gcore() -> tuple[float, float]:
    """Milliseconds that gcore takes for the same process, and KiB on disk of its core file."""
    with home() as folder:
        process = subprocess.Popen(
            _command(folder / "spool", "wait", folder),
            stdout=subprocess.PIPE,
            env=environment(folder),
            text=True,
        )
        assert process.stdout is not None
        try:
            pid = process.stdout.readline().split()[0]
            start = time.monotonic_ns()
            subprocess.run(["gcore", "-o", folder / "core", pid], check=True, capture_output=True)
            taken = time.monotonic_ns() - start
            return taken / 1e6, (folder / f"core.{pid}").stat().st_blocks * 512 / 1024
        finally:
            process.kill()
            process.communicate()
