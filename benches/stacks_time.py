"""`lastwords stacks` beside py-spy and pystack: time, memory, how long a target stands still."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benches.measure import PROGRAMS, Row, environment, home, package, peak_kib, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["stacks_time"]

PY_SPY = "py-spy==0.4.3"
PYSTACK = "pystack==1.7.2"
COUNT = 21
FEW, MANY = 5, 30
MOST_STANDING_MS = 2


@contextmanager
def _standing(threads: int, folder: Path) -> Iterator[int]:
    """A process with so many threads that sleep."""
    program = [sys.executable, str(PROGRAMS / "standing_threads.py"), str(threads)]
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(folder)
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def _ours() -> str:
    return str(Path(sys.executable).with_name("lastwords"))


def _run(command: Sequence[str], folder: Path, packages: Path | None) -> bytes:
    path = {} if packages is None else {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        command, env=environment(folder) | path, capture_output=True, check=True, timeout=600
    )
    return done.stdout


def _turns_ms(commands: Sequence[tuple[Sequence[str], Path | None]], folder: Path) -> list[float]:
    """Medians of processes that take turns, the first of each not counted."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(COUNT + 1):
        for times, (command, packages) in zip(taken, commands, strict=True):
            start = time.monotonic_ns()
            _run(command, folder, packages)
            times.append((time.monotonic_ns() - start) / 1e6)
    return [statistics.median(times[1:]) for times in taken]


def _peers() -> list[tuple[str, list[str], Path | None, float]]:
    """Name, command, packages and the ratio that must be reached, of each peer that is here."""
    found: list[tuple[str, list[str], Path | None, float]] = []
    if (packages := package(PY_SPY)) is not None:
        command = [str(packages / "bin/py-spy"), "dump", "--native", "--pid"]
        found.append((f"{version_of(command[0], '--version')}, dump --native", command, None, 0.8))
    if (packages := package(PYSTACK)) is not None:
        command = [sys.executable, "-m", "pystack", "remote", "--native"]
        found.append((f"{PYSTACK.replace('==', ' ')}, remote --native", command, packages, 0.25))
    return found


def _live(folder: Path) -> list[Row]:
    peers = _peers()
    ours = [_ours(), "stacks", "--native"]
    with _standing(FEW, folder) as pid:
        commands: list[tuple[list[str], Path | None]] = [([*ours, str(pid)], None)]
        commands += [([*command, str(pid)], packages) for _, command, packages, _ in peers]
        own, *theirs = _turns_ms(commands, folder)
        rows = [
            Row(
                promise=f"`lastwords stacks --native PID`, {FEW} threads",
                value=own,
                unit="ms",
                peer=peer,
                peer_value=value,
                ratio_limit=limit,
                command=f"benches/programs/standing_threads.py, median of {COUNT}, in turns, warm",
            )
            for (peer, _, _, limit), value in zip(peers, theirs, strict=True)
        ]
        memory = peak_kib([*ours, str(pid)], folder)
        spies = [(peer, command) for peer, command, packages, _ in peers if packages is None]
        for peer, command in spies:
            rows.append(
                Row(
                    promise="the same, most resident memory",
                    value=memory,
                    unit="KiB",
                    peer=peer,
                    peer_value=peak_kib([*command, str(pid)], folder),
                    ratio_limit=1,
                    command="wait4(2)",
                )
            )
    return rows


def _standing_still(folder: Path) -> list[Row]:
    with _standing(MANY, folder) as pid:
        command = [_ours(), "stacks", "--native", "--json", str(pid)]
        documents = [json.loads(_run(command, folder, None)) for _ in range(COUNT)]
    stopped = [document["lastwords"]["stacks"]["stopped_us"] / 1e3 for document in documents]
    return [
        Row(
            promise=f"the same, {MANY} threads: the target stands still",
            value=statistics.median(stopped),
            unit="ms",
            limit=MOST_STANDING_MS,
            command=f"from the first thread stopped to the last let go, median of {COUNT}",
        )
    ]


def _core(folder: Path) -> list[Row]:
    packages = package(PYSTACK)
    with _standing(FEW, folder) as pid:
        gcore = ["gcore", "-o", str(folder / "core"), str(pid)]
        subprocess.run(gcore, check=True, capture_output=True, timeout=600)
    core = str(folder / f"core.{pid}")
    command = "gcore of the same program, median, in turns, warm"
    ours = [_ours(), "stacks", "--native", core]
    promise = "`lastwords stacks --native CORE`"
    if packages is None:
        (value,) = _turns_ms([(ours, None)], folder)
        return [Row(promise=promise, value=value, unit="ms", command=command)]
    theirs = [sys.executable, "-m", "pystack", "core", "--native", core]
    value, peer_value = _turns_ms([(ours, None), (theirs, packages)], folder)
    return [
        Row(
            promise=promise,
            value=value,
            unit="ms",
            peer=f"{PYSTACK.replace('==', ' ')}, core --native",
            peer_value=peer_value,
            ratio_limit=0.3,
            command=command,
        )
    ]


def stacks_time() -> list[Row]:
    """Live, standing still, core."""
    with home() as folder:
        return _live(folder) + _standing_still(folder) + _core(folder)
