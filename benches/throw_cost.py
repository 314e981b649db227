"""What the record of a C++ exception adds to its throw."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys

from benches.measure import PROGRAMS, Row, home, run

__all__ = ["throw_cost"]

LIMITS = {1: 1.10, 20: 1.05}


def throw_cost() -> list[Row]:
    """Throw and catch at both depths, in turns with and without capture, in one process."""
    compiler = shutil.which("g++")
    if compiler is None:
        print("throw_cost: no C++ compiler here, nothing measured")
        return []
    with home() as folder:
        library = folder / "throw_cost.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library)]
        subprocess.run([*command, str(PROGRAMS / "throw_cost.cpp")], check=True)
        done = run([sys.executable, PROGRAMS / "throw_cost.py", folder / "spool", library], folder)
    turns = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return [_row(depth, [turn[1:] for turn in turns if turn[0] == depth]) for depth in LIMITS]


def _row(depth: int, turns: list[tuple[float, ...]]) -> Row:
    ours, without = (statistics.median(column) / 1000 for column in zip(*turns, strict=True))
    return Row(
        promise=f"throw and catch over {depth} frames, its stack recorded", value=ours, unit="µs",
        peer="without lastwords", peer_value=without,
        command="benches/programs/throw_cost.py, medians of turns", ratio_limit=LIMITS[depth],
    )  # fmt: skip
