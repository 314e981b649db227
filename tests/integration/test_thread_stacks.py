"""Stack overflow in every kind of thread is reported and named; threads cost and change nothing."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, SpooledReport, analyze, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

MIB = 1 << 20
MAIN_LIMIT = 8 * MIB
WAYS = [
    ("main", "overflow_plain"),
    ("main", "overflow_by_array"),
    ("main", "repr"),
    ("python", "overflow_plain"),
    ("python", "overflow_in_cpp"),
    ("python", "overflow_by_array"),
    ("python", "repr"),
    ("late", "overflow_plain"),
    ("tiny", "overflow_plain"),
    ("c", "overflow_plain"),
    ("c", "overflow_in_cpp"),
    ("small", "overflow_plain"),
    ("detached", "overflow_plain"),
    ("cpp", "overflow_in_cpp"),
]


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of stacks.cpp."""
    library = tmp_path_factory.mktemp("stacks") / "libstacks.so"
    flags = ["-shared", "-fPIC", "-O1", "-fno-optimize-sibling-calls", "-pthread"]
    command = ["c++", *flags, "-o", str(library), str(PROGRAMS / "stacks.cpp")]
    subprocess.run(command, check=True, timeout=120)
    return library


def die(home: Home, stacks: Path, where: str, how: str, **settings: object) -> Death:
    settings = {"dump_dir": str(home.spool), **settings}
    program = PROGRAMS / "die_of_depth.py"
    death = run_python([program, json.dumps(settings), where, how], home, STACKS=str(stacks))
    assert death.returncode == -signal.SIGSEGV, death.stderr
    return death


def overflow_of(report: SpooledReport) -> dict[str, int] | None:
    found: dict[str, int] | None = report.document["mechanism"]["stack_overflow"]
    assert found is None or set(found) == {"stack_bytes", "limit_bytes"}
    return found


@pytest.mark.parametrize(("where", "how"), WAYS)
def test_a_stack_overflow_is_reported_and_named(
    where: str, how: str, home: Home, stacks: Path
) -> None:
    die(home, stacks, where, how)
    report = home.report()
    found = overflow_of(report)
    assert found is not None
    assert report.document["mechanism"]["description"] == "SIGSEGV: stack overflow"
    if where == "main":
        assert found["limit_bytes"] == MAIN_LIMIT
        assert 0 < found["stack_bytes"] <= MAIN_LIMIT
    else:
        least = {"tiny": 60 * 1024, "small": 12 * 1024}.get(where, 7 * MIB)
        assert least <= found["limit_bytes"] <= least * 1.5
    if how.startswith("overflow") and how != "overflow_by_array":
        names = [frame["function"] for frame in analyze(report.dump)["crashing_thread"]["frames"]]
        assert sum("overflow_in_c" in str(name) or "count" in str(name) for name in names) > 5


@pytest.mark.parametrize("where", ["main", "python", "c", "small"])
def test_a_wild_pointer_is_no_stack_overflow(where: str, home: Home, stacks: Path) -> None:
    die(home, stacks, where, "read_wild")
    report = home.report()
    assert overflow_of(report) is None
    assert report.document["mechanism"]["description"] == "SIGSEGV"


def test_without_alternate_stacks_a_thread_dies_unreported(home: Home, stacks: Path) -> None:
    settings = {"alternate_stacks": False, "report_abnormal_ends": False}
    die(home, stacks, "python", "overflow_plain", **settings)
    assert home.reports() == []


def test_without_alternate_stacks_the_installing_thread_has_one(home: Home, stacks: Path) -> None:
    die(home, stacks, "main", "overflow_plain", alternate_stacks=False)
    assert overflow_of(home.report()) is not None


START = """
import ctypes, json, os, sys, threading
import lastwords
installed = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
assert installed.is_native_armed
library = ctypes.CDLL(os.environ["STACKS"])

def usage():
    status = open("/proc/self/statm").read().split()
    return {"rss": int(status[1]) * 4096, "maps": len(open("/proc/self/maps").readlines())}

"""


def run(home: Home, stacks: Path, program: str) -> Death:
    arguments = ["-c", START + program]
    death = run_python(arguments, home, DUMPS=str(home.spool), STACKS=str(stacks))
    assert death.returncode == 0, death.stderr
    return death


@pytest.mark.parametrize("end", [0, 1, 2], ids=["return", "exit", "cancel"])
def test_ten_thousand_threads_leave_nothing_behind(end: int, home: Home, stacks: Path) -> None:
    program = f"""
library.make_threads(100, {end})
before = usage()
assert library.make_threads(10000, {end}) == 0
print(json.dumps({{"before": before, "after": usage(),
                  "with": library.count_with_stack(), "without": library.count_without_stack()}}))
"""
    facts = run(home, stacks, program).facts
    assert (facts["with"], facts["without"]) == (10_100, 0)
    assert facts["after"]["maps"] <= facts["before"]["maps"] + 4
    assert facts["after"]["rss"] <= facts["before"]["rss"] + MIB // 2


def test_threads_that_live_at_once_have_one_each(home: Home, stacks: Path) -> None:
    program = """
assert library.make_threads_at_once(2000) == 0
print(json.dumps({"with": library.count_with_stack(), "without": library.count_without_stack()}))
"""
    assert run(home, stacks, program).facts == {"with": 2000, "without": 0}


def test_a_stack_that_a_thread_sets_itself_is_left_alone(home: Home, stacks: Path) -> None:
    program = 'print(json.dumps({"stays": library.own_stack_stays()}))'
    assert run(home, stacks, program).facts == {"stays": 1}


def test_uninstalled_threads_are_made_as_before(home: Home, stacks: Path) -> None:
    program = """
lastwords.uninstall()
library.make_threads(10, 0)
print(json.dumps({"with": library.count_with_stack()}))
"""
    assert run(home, stacks, program).facts == {"with": 0}


def test_a_forked_child_keeps_its_stack_and_reuses_the_others(home: Home, stacks: Path) -> None:
    program = """
threads = [threading.Thread(target=threading.Event().wait, daemon=True) for _ in range(40)]
for thread in threads:
    thread.start()
before = usage()["maps"]
pid = os.fork()
if pid == 0:
    ok = library.has_stack() and library.make_threads_at_once(40) == 0
    ok = ok and library.count_with_stack() == 40 and usage()["maps"] <= before + 90
    os._exit(0 if ok else 1)
print(json.dumps({"status": os.waitpid(pid, 0)[1]}), flush=True)
os._exit(0)
"""
    assert run(home, stacks, program).facts == {"status": 0}


def test_the_overflow_of_a_forked_childs_thread_is_reported(home: Home, stacks: Path) -> None:
    program = """
pid = os.fork()
if pid == 0:
    library.run_in_thread(library.overflow_plain, 0, 0)
assert os.waitpid(pid, 0)[1] & 127 == 11
"""
    run(home, stacks, program)
    assert overflow_of(home.report()) is not None
