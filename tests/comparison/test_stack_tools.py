"""What three tools show of the same processes; fills docs/reference/stack-tools.md."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from situations import SITUATIONS, Situation
from tools import DEADLINE_S, PACKAGES, REPOSITORY, Tool, shown, tools

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

PROGRAMS = Path(__file__).parent / "programs"
PAGE = REPOSITORY / "docs/reference/stack-tools.md"
HEAD = """# Stack tools side by side

The same processes, looked at by three tools: how many of the frames that a person looks for are
shown, in their order. Written by `LASTWORDS_UPDATE_GOLDEN=1 python -m pytest tests/comparison`. The
test fails when lastwords misses a frame.
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("situations")
    library = folder / "situations.so"
    rules = REPOSITORY / "tests/integration/programs/no_rules.S"
    sources = [str(PROGRAMS / "situations.cpp"), str(rules)]
    options = ["-std=c++17", "-g", "-O2", "-fPIC", "-shared", "-pthread", "-o", str(library)]
    subprocess.run(["g++", *options, *sources], check=True, timeout=DEADLINE_S)
    return library


@pytest.fixture(scope="session")
def stripped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the interpreter's library, stripped."""
    name = sysconfig.get_config_var("INSTSONAME")
    source = Path(sysconfig.get_config_var("LIBDIR")) / name
    if not source.is_file():
        pytest.skip("this interpreter has no shared library")
    folder = tmp_path_factory.mktemp("stripped")
    shutil.copy(source, folder / name)
    subprocess.run(["strip", "--strip-all", str(folder / name)], check=True)
    return folder


@contextmanager
def _standing(situation: Situation, library: Path, stripped: Path) -> Iterator[int]:
    program = [sys.executable, *situation.options, str(PROGRAMS / "situations.py")]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    if situation.is_stripped:
        environment["LD_LIBRARY_PATH"] = str(stripped)
    process = subprocess.Popen(
        [*program, situation.name, str(library)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line, f"{situation.name} ended with {process.wait()}"
        yield int(line)
    finally:
        process.kill()
        process.communicate()


def _counts(situation: Situation, library: Path, stripped: Path, folder: Path) -> list[str]:
    total = len(situation.frames)
    with _standing(situation, library, stripped) as pid:
        target = str(pid)
        _wait_until_asleep(pid)
        if situation.is_dead:
            command = ["gcore", "-o", str(folder / "core"), str(pid)]
            subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
            target = str(folder / f"core.{pid}")
        return [_cell(tool, target, situation, total) for tool in tools()]


def _wait_until_asleep(pid: int) -> None:
    """It says that it is ready right before it waits."""
    states = ""
    for _ in range(10_000):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        states = "".join((t / "stat").read_text().rpartition(")")[2][1] for t in tasks)
        if set(states) == {"S"}:
            return
        os.sched_yield()
    pytest.fail(f"its threads do not sleep: {states}")


def _cell(tool: Tool, target: str, situation: Situation, total: int) -> str:
    lines = tool.lines(target, is_core=situation.is_dead)
    if lines is None:
        has_words = tool.core is not None or not situation.is_dead
        return "fails" if has_words else "reads none"
    count = shown(lines, situation.frames)
    return "all" if count == total else f"{count} of {total}"


@pytest.mark.timeout(600)
def test_lastwords_shows_every_frame_of_every_situation(
    library: Path, stripped: Path, tmp_path: Path
) -> None:
    if not PACKAGES.is_dir():
        pytest.skip(f"{PACKAGES} is missing: scripts/foreign-readers installs it")
    names = [tool.name for tool in tools()]
    rows = ["| situation | frames looked for | " + " | ".join(names) + " |"]
    rows.append("|---" * (2 + len(names)) + "|")
    missed = []
    for situation in SITUATIONS:
        cells = _counts(situation, library, stripped, tmp_path)
        if cells[0] != "all":
            missed.append((situation.about, cells[0]))
        frames = ", ".join(f"`{frame}`" for frame in situation.frames)
        rows.append(f"| {situation.about} | {frames} | " + " | ".join(cells) + " |")
    page = HEAD + "\n" + "\n".join(rows) + "\n"
    if os.environ.get("LASTWORDS_UPDATE_GOLDEN"):
        PAGE.write_text(page, "utf-8")
    assert missed == []
    assert _own_columns(page) == _own_columns(PAGE.read_text("utf-8"))


def _own_columns(page: str) -> list[list[str]]:
    """Situation, frames and our count: what the peers show may differ from machine to machine."""
    return [line.split(" | ")[:3] for line in page.splitlines() if line.startswith("| ")][1:]
