"""From the fault to the web page: the demo, and the pages that a browser gets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def run_demo(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lastwords", "demo", *options],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "160"},
        check=False,
    )


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.status == 200
        return str(answer.read().decode("utf-8"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    """A demo whose server runs on until the end of the module."""
    done = run_demo(tmp_path_factory.mktemp("demo"), "--keep")
    stop = re.search(r"kill (\d+) && rm -r \S+", done.stderr)
    assert done.returncode == 0, done.stderr
    assert stop, done.stderr
    yield done
    subprocess.run(stop[0], shell=True, check=True, timeout=30)


def test_the_demo_ends_well_and_cleans_up(tmp_path: Path) -> None:
    start = time.monotonic()
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 120
    assert "consent" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_terminal_shows_the_merged_stack_in_order(
    kept: subprocess.CompletedProcess[str],
) -> None:
    order = ["SIGSEGV", "Probe::record", "Plate::relax_row", "plate_relax",
             "Band.advance", "Simulation._work", "Thread.run", "Thread._bootstrap"]  # fmt: skip
    places = [kept.stdout.index(text) for text in order]
    assert places == sorted(places)


def test_the_page_of_the_native_crash_shows_the_same_stack(
    kept: subprocess.CompletedProcess[str],
) -> None:
    url = re.search(r"page: (http://\S+)", kept.stdout)
    assert url, kept.stdout
    page = get(url[1])
    order = ["Probe::record", "Plate::relax_row", "Band.advance", "Simulation._work"]
    assert re.search(".*".join(map(re.escape, order)), page, re.DOTALL)
    assert "_physics.cpp" in page
    assert "simulation.py" in page


def test_the_server_lists_the_three_issues(kept: subprocess.CompletedProcess[str]) -> None:
    url = re.search(r"issues on (http://[^\s:]+:\d+)", kept.stdout)
    assert url, kept.stdout
    listed = subprocess.run(
        [sys.executable, "-m", "lastwords", "issues", "--server", url[1], "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    titles = json.dumps(json.loads(listed.stdout)["issues"])
    assert len(json.loads(listed.stdout)["issues"]) == 3
    for text in ("SIGSEGV", "KeyError", "RuntimeError"):
        assert text in titles
    front = get(url[1])
    for text in ("KeyError", "RuntimeError"):
        assert text in front
