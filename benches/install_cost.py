"""What an application pays at its start, in fresh interpreters."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

from benches.measure import PROGRAMS, Row, home, package, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["install_cost"]

SENTRY = "sentry-sdk==2.75.0"
COUNT = 21


def install_cost() -> list[Row]:
    """Import and install, medians, beside sentry-sdk's import and init."""
    ours = _medians(PROGRAMS / "install.py", None)
    packages = package(SENTRY)
    theirs = _medians(PROGRAMS / "install_sentry.py", packages) if packages else (None, None)
    command = f"benches/programs/install.py, median of {COUNT} fresh interpreters"
    peer = SENTRY.replace("==", " ")
    return [
        Row(promise="`import lastwords`", value=ours[0], unit="ms",
            peer=f"{peer}, import", peer_value=theirs[0], command=command),
        Row(promise="`lastwords.install()`", value=ours[1], unit="ms",
            peer=f"{peer}, init", peer_value=theirs[1], command=command),
        Row(promise="import + `install()`", value=ours[0] + ours[1], unit="ms", limit=10,
            command=command),
        *_memory(),
    ]  # fmt: skip


def _memory() -> list[Row]:
    """What the process grows by, medians."""
    program = PROGRAMS / "install_memory.py"
    with home() as folder:
        runs = [
            run([sys.executable, program, folder / str(index)], folder) for index in range(COUNT)
        ]
    own, resident, held = zip(*(map(int, done.stdout.split()) for done in runs), strict=True)
    command = "benches/programs/install_memory.py, /proc/self/smaps_rollup"
    return [
        Row(promise="import + `install()`, memory of the process's own", unit="KiB", limit=2048,
            value=statistics.median(own), command=command),
        Row(promise="import + `install()`, resident memory", unit="KiB",
            value=statistics.median(resident), command=command),
        Row(promise="copy of the monitor's executable, kept by the process", unit="KiB",
            value=statistics.median(held), command=command),
    ]  # fmt: skip


def _medians(program: Path, argument: Path | None) -> tuple[float, float]:
    with home() as folder:
        taken = []
        for index in range(COUNT + 1):
            where = argument or folder / f"spool-{index}"
            done = run([sys.executable, program, where], folder)
            taken.append([int(text) / 1e6 for text in done.stdout.split()])
    imports, installs = zip(*taken[1:], strict=True)
    return statistics.median(imports), statistics.median(installs)
