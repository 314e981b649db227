"""The Python frames of all threads, against another reader of the same dying process."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, analyze, run_python

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from dying import Home

pytestmark = pytest.mark.integration

Stack = tuple[tuple[str, int, str], ...]


def test_they_are_those_that_faulthandler_sees(home: Home, faults_library: Path) -> None:
    """It reads the same frames inside the process, by other code, while no thread moves."""
    death = run_python(
        ["-X", "faulthandler", PROGRAMS / "die_among_parked.py"],
        home,
        LASTWORDS_FAULTS=str(faults_library),
        TEST_DUMP_DIR=str(home.spool),
    )
    assert death.returncode == -signal.SIGSEGV, death.stderr
    truth = faulthandler_stacks(death.stderr)
    assert len(truth) == 5, "the main thread and four parked ones, which differ in depth"
    assert "__eq__" in {name for stack in truth for _, _, name in stack}
    assert python_stacks(analyze(home.report().dump)) == truth


def python_stacks(analysis: dict[str, Any]) -> set[Stack]:
    stacks = set()
    for thread in analysis["threads"]:
        frames = [frame["python"] for frame in thread["frames"] if frame["kind"] == "python"]
        stacks.add(tuple((frame["file"], frame["line"], frame["name"]) for frame in frames))
    return stacks - {()}


def faulthandler_stacks(stderr: str) -> set[Stack]:
    stacks = set()
    for block in re.split(r"^(?:Current thread|Thread) .*$", stderr, flags=re.MULTILINE)[1:]:
        frames = re.findall(r'^  File "(.*)", line (\d+) in (.*)$', block, re.MULTILINE)
        stacks.add(tuple((file, int(line), name) for file, line, name in frames))
    return stacks
