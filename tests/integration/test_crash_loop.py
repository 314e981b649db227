"""Thousands of crashes in a row leave nothing behind but reports, and of those not too many.

`LASTWORDS_CRASHES=10000` says how many forked children of one process die (default: 2,000), and
`LASTWORDS_PROCESSES=500` how many whole processes (default: 50).
"""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dying import Home, run_python, wait_until
from warm import End, Warm

pytestmark = pytest.mark.integration

CRASHES = int(os.environ.get("LASTWORDS_CRASHES", "2000"))
PROCESSES = int(os.environ.get("LASTWORDS_PROCESSES", "50"))
MAX_SPOOL_MB = 4
AT_ONCE = 2


def monitors() -> set[int]:
    """Process ids of all monitors of this machine; zombies too."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text("utf-8", errors="replace")
        except OSError:
            continue
        if name.startswith(("lw-monitor", "lastwords-monit")):
            found.add(int(folder.name))
    return found


def watched_home(pid: int, home: Home) -> bool:
    """Whether the monitor belongs to a process of this test: it watches it over a shared area."""
    try:
        area = Path(f"/proc/{pid}/fd/4").read_bytes()
    except OSError:
        return False
    return str(home.folder).encode() in area


def own_monitors(home: Home) -> list[int]:
    return [pid for pid in monitors() if watched_home(pid, home)]


def spool_bytes(home: Home) -> int:
    return sum(file.stat().st_size for file in home.spool.rglob("*") if file.is_file())


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))  # noqa: PTH208


def settings(home: Home) -> dict[str, object]:
    return {"budget_s": 10, "max_spool_mb": MAX_SPOOL_MB, "dump_dir": str(home.spool)}


def assert_spool(home: Home, crashes: int) -> None:
    """The newest reports are there and whole, the lost ones are counted, the size is kept."""
    wait_until(lambda: not own_monitors(home), "the end of all monitors")
    reports = home.reports()
    pruned = home.spool / "pruned.json"
    lost = json.loads(pruned.read_text("utf-8"))["undelivered"] if pruned.exists() else 0
    assert len(reports) + lost == crashes
    assert spool_bytes(home) < (MAX_SPOOL_MB + 2) * 1e6
    for report in reports[:: max(1, len(reports) // 20)]:
        assert report.document["mechanism"]["signal"]["name"] == "SIGSEGV"
        assert report.dump.stat().st_size == report.document["dump"]["size_bytes"]
    assert list((home.spool / "new").iterdir()) == []


@pytest.mark.timeout(3600)
def test_forked_children_that_crash_leave_nothing_behind(home: Home) -> None:
    memory = shared_memory()
    with Warm(home, **settings(home)) as warm:
        first = warm.die()
        ends: list[End] = [warm.die() for _ in range(CRASHES - 1)]
    assert {os.WTERMSIG(end.status) for end in ends} == {signal.SIGSEGV}
    assert not any(end.zombies for end in ends)
    assert {end.descriptors for end in ends} == {first.descriptors}
    assert max(end.maps for end in ends) <= first.maps + 5
    assert_spool(home, CRASHES)
    assert shared_memory() <= memory
    took = sorted(end.seconds for end in ends)
    print(f"\n{len(ends) + 1} crashes, median {took[len(took) // 2] * 1e3:.1f} ms")


@pytest.mark.timeout(3600)
def test_processes_that_crash_at_once_leave_nothing_behind(home: Home) -> None:
    memory = shared_memory()
    program = (
        "import json, sys, ctypes, lastwords; "
        "lastwords.install(**json.loads(sys.argv[1])); ctypes.string_at(16)"
    )
    told = json.dumps({"product": "loop", "version": "1"} | settings(home))

    def die(_: int) -> int:
        return run_python(["-c", program, told], home).returncode

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = set(pool.map(die, range(PROCESSES)))
    assert ends == {-signal.SIGSEGV}
    assert_spool(home, PROCESSES)
    assert shared_memory() <= memory
