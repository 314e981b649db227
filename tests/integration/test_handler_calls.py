"""The signal handler allocates nothing and takes no lock: a preloaded library would notice."""

from __future__ import annotations

import signal
import subprocess

import pytest
from dying import PROGRAMS, Home, run_python

pytestmark = pytest.mark.integration

PROGRAM = """
import ctypes, os, signal, sys
way = sys.argv[1]
runtime = ctypes.CDLL(os.environ["RUNTIME"])
if way == "previous-handler-repairs":
    runtime.install_skip()
if way == "previous-handler-gives-up":
    runtime.install_raise()
import lastwords
done = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
stacks = ctypes.CDLL(os.environ["STACKS"])
if way == "no-monitor":
    os.kill(done.monitor_pid, signal.SIGKILL)
if way == "descriptors-closed":
    os.closerange(3, 1024)
if way == "thread-overflow":
    stacks.run_in_thread(stacks.overflow_plain, 0, 0)
if way == "main-overflow":
    stacks.overflow_plain()
if way == "forked-child":
    child = os.fork()
    if child:
        os.kill(os.getpid(), -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if way == "previous-handler-repairs":
    for _ in range(10):
        runtime.fault_and_skip()
    sys.exit(0)
if way.endswith("on_purpose"):
    getattr(ctypes.PyDLL(None), way)()
ctypes.string_at(0x10)
"""
DEADLY = [
    "plain",
    "no-monitor",
    "descriptors-closed",
    "thread-overflow",
    "main-overflow",
    "forked-child",
    "previous-handler-gives-up",
]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The library to preload, and those that the program uses."""
    folder = tmp_path_factory.mktemp("libraries")
    sources = {
        "LD_PRELOAD": ("forbidden_calls.c", "forbidden_calls.so"),
        "RUNTIME": ("runtime.c", "libjvm.so"),
        "STACKS": ("stacks.cpp", "libstacks.so"),
    }
    for source, library in sources.values():
        compiler = "c++" if source.endswith("cpp") else "cc"
        flags = ["-shared", "-fPIC", "-fno-builtin", "-pthread", "-o", str(folder / library)]
        subprocess.run([compiler, *flags, str(PROGRAMS / source)], check=True, timeout=120)
    return {name: str(folder / library) for name, (_, library) in sources.items()}


def run(way: str, home: Home, libraries: dict[str, str]) -> tuple[int, str]:
    done = run_python(
        ["-c", PROGRAM, way],
        home,
        DUMPS=str(home.spool),
        LD_PRELOAD=libraries["LD_PRELOAD"],
        RUNTIME=libraries["RUNTIME"],
        STACKS=libraries["STACKS"],
        LASTWORDS_CHAIN_FIRST="always",
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("way", ["allocate_on_purpose", "lock_on_purpose"])
def test_what_is_forbidden_would_be_noticed(
    way: str, home: Home, libraries: dict[str, str]
) -> None:
    assert run(way, home, libraries)[0] == 99


@pytest.mark.parametrize("way", DEADLY)
def test_a_report_is_made_without_allocation_and_locks(
    way: str, home: Home, libraries: dict[str, str]
) -> None:
    status, stderr = run(way, home, libraries)
    assert status == -signal.SIGSEGV, stderr
    reports = home.reports()
    assert len(reports) == 1 + (way == "forked-child")
    assert all(report.dump.is_file() for report in reports)


def test_a_repaired_fault_costs_neither(home: Home, libraries: dict[str, str]) -> None:
    status, stderr = run("previous-handler-repairs", home, libraries)
    assert status == 0, stderr
    assert home.reports() == []
