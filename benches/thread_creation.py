"""What an alternate signal stack adds to the making of a thread."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys

from benches.measure import PROGRAMS, Row, home, run

__all__ = ["thread_creation"]


def thread_creation() -> list[Row]:
    """Create and join a thread that does nothing, in turns with and without, in one process."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("thread_creation: no C compiler here, nothing measured")
        return []
    with home() as folder:
        library = folder / "thread_creation.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", str(library)]
        subprocess.run([*command, str(PROGRAMS / "thread_creation.c")], check=True)
        program = PROGRAMS / "thread_creation.py"
        done = run([sys.executable, program, folder / "spool", library], folder)
    lines = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    columns = [statistics.median(column) / 1000 for column in zip(*lines, strict=True)]
    promises = ("start and join a Python thread, processor time",
                "create and join a bare C thread, processor time")  # fmt: skip
    return [
        Row(promise=promise, value=ours, unit="µs", peer="without lastwords", peer_value=without,
            command="benches/programs/thread_creation.py, medians of turns", ratio_limit=1.05)
        for promise, ours, without in zip(promises, columns[::2], columns[1::2], strict=True)
    ]  # fmt: skip
