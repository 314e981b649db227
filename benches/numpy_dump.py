"""How large the mini dump of a process with numpy is."""

from __future__ import annotations

import subprocess
import sys

from benches.measure import PROGRAMS, Row, environment, home, package

__all__ = ["numpy_dump"]

NUMPY = "numpy==2.2.6"


def numpy_dump() -> list[Row]:
    """Plain and compressed."""
    packages = package(NUMPY)
    if packages is None:
        return []
    command = f"benches/programs/numpy_threads.py (8 threads, {NUMPY.replace('==', ' ')})"
    return [
        Row(promise=f"mini dump of a process with numpy{how and ', compressed'}",
            value=_size_kib(packages, how), unit="KiB", command=command, limit=limit)
        for how, limit in (("", 1.5e6 / 1024), ("zstd", 300e3 / 1024))
    ]  # fmt: skip


def _size_kib(packages: object, how: str) -> float:
    with home() as folder:
        command = [sys.executable, PROGRAMS / "numpy_threads.py", folder / "spool", str(packages)]
        subprocess.run(
            command, env=environment(folder), input=how, text=True, check=False,
            capture_output=True, timeout=120,
        )  # fmt: skip
        (dump,) = folder.glob("spool/pending/*/dump.dmp*")
        return dump.stat().st_size / 1024
