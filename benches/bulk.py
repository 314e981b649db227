"""Many dumps in one run, and one small dump from the shell to the page; symbols are cached."""

from __future__ import annotations

import compileall
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benches.measure import REPOSITORY, Row, dump_of_five_threads, environment, home, run

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bulk"]

DUMPS = 1_000
PROCESSES = 2
KINDS = 8
RUNS = 5
SHELL_RUNS = 31
LASTWORDS = Path(sys.executable).with_name("lastwords")


def bulk() -> list[Row]:
    """Mini dumps of Python processes with five threads, written by `lastwords dump`."""
    # An installation has bytecode; a checkout that may not write any would compile for each figure.
    compileall.compile_dir(str(REPOSITORY / "src"), quiet=1)
    with home() as folder:
        dumps = _dumps(folder)
        size_kib = statistics.mean(dump.stat().st_size for dump in dumps) / 1024
        one = [LASTWORDS, "analyze", dumps[0]]
        many = [LASTWORDS, "analyze", folder / "dumps", "-j", str(PROCESSES)]
        run(many, folder)
        text_s = min(_seconds(many, folder) for _ in range(RUNS))
        json_s = min(_seconds([*many, "--json-lines"], folder) for _ in range(RUNS))
        text_ms, text_cpu_ms = _shell_ms(one, folder)
        json_ms, json_cpu_ms = _shell_ms([*one, "--json"], folder)
    command = f"benches/bulk.py, whole command, {size_kib:.0f} KiB a dump"
    best = f"{command}, best of {RUNS}"
    middle = f"{command}, median of {SHELL_RUNS}"
    name = f"bulk over {DUMPS:,} dumps, {PROCESSES} processes"
    return [
        Row(promise=f"{name}, JSON lines, warm", value=DUMPS / json_s, unit="dumps/s",
            command=best, at_least=100),
        Row(promise=f"{name}, a table, warm", value=DUMPS / text_s, unit="dumps/s", command=best,
            at_least=100),
        Row(promise="a small dump, warm, from shell to text", value=text_ms, unit="ms",
            command=middle, limit=100),
        Row(promise="processor time of that", value=text_cpu_ms, unit="ms", command=middle),
        Row(promise="a small dump, warm, from shell to JSON", value=json_ms, unit="ms",
            command=middle, limit=100),
        Row(promise="processor time of that", value=json_cpu_ms, unit="ms", command=middle),
    ]  # fmt: skip


def _shell_ms(command: Sequence[str | Path], folder: Path) -> tuple[float, float]:
    """Time and processor time: on a busy machine the second one is what a quiet one takes."""
    walls, cpus = [], []
    for _ in range(SHELL_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(_seconds(command, folder) * 1e3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cpus.append(used_s * 1e3)
    return statistics.median(walls), statistics.median(cpus)


def _dumps(folder: Path) -> list[Path]:
    """A thousand files, of some processes each."""
    target = folder / "dumps"
    target.mkdir()
    kinds = [dump_of_five_threads(folder) for _ in range(KINDS)]
    return [
        Path(shutil.copyfile(kinds[number % KINDS], target / f"{number:04}.dmp"))
        for number in range(DUMPS)
    ]


def _seconds(command: Sequence[str | Path], folder: Path) -> float:
    started_s = time.perf_counter()
    subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started_s
