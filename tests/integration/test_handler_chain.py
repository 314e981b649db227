"""A handler that was there before may repair a fault: then there was no crash."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, run_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.integration

START = """
import ctypes, os, signal, threading
import lastwords
runtime = ctypes.CDLL(os.environ["RUNTIME"])

def install():
    installed = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
    assert installed.is_native_armed

"""
RUNTIMES = ["libjvm.so", "libcoreclr.so", "libmonosgen-2.0.so.1", "libjulia.so.1", "go"]
REPAIRS = {
    "skip": "fault_and_skip",
    "repair": "fault_and_repair",
    "plain": "fault_and_repair",
    "jump": "fault_and_jump",
}


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The library of runtime.c under the name of a runtime."""
    folder = tmp_path_factory.mktemp("runtimes")

    def build(name: str) -> Path:
        library = folder / ("libextension.so" if name == "go" else name)
        flags = ["-DGO"] if name == "go" else []
        command = ["cc", "-shared", "-fPIC", *flags, "-o", str(library)]
        subprocess.run([*command, str(PROGRAMS / "runtime.c")], check=True, timeout=60)
        return library

    return build


def run(home: Home, library: Path, program: str, chain_first: str = "auto") -> Death:
    return run_python(
        ["-c", START + program],
        home,
        DUMPS=str(home.spool),
        RUNTIME=str(library),
        LASTWORDS_CHAIN_FIRST=chain_first,
    )


def repaired(way: str, count: int = 3) -> str:
    faults = f"for _ in range({count}):\n    runtime.{REPAIRS[way]}()\n"
    return f"runtime.install_{way}()\ninstall()\n{faults}"


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_faults_of_a_runtime_are_no_crashes(
    name: str, home: Home, runtime: Callable[[str], Path]
) -> None:
    program = repaired("skip", 100) + "assert runtime.count_calls() == 100\n"
    death = run(home, runtime(name), program)
    assert death.returncode == 0, death.stderr
    assert home.reports() == []


@pytest.mark.parametrize("way", REPAIRS)
def test_every_way_to_repair_a_fault_is_understood(
    way: str, home: Home, runtime: Callable[[str], Path]
) -> None:
    program = f"""{repaired(way)}
thread = threading.Thread(target=runtime.{REPAIRS[way]})
thread.start()
thread.join()
assert runtime.count_calls() == 4
"""
    death = run(home, runtime("libjvm.so"), program)
    assert death.returncode == 0, death.stderr
    assert home.reports() == []


@pytest.mark.parametrize(
    ("name", "chain_first", "is_reported"),
    [
        ("libjvm.so", "never", True),
        ("libother.so", "auto", True),
        ("libother.so", "always", False),
        ("libjvm.so", "always", False),
    ],
)
def test_the_setting_decides(
    name: str, chain_first: str, is_reported: bool, home: Home, runtime: Callable[[str], Path]
) -> None:
    death = run(home, runtime(name), repaired("skip"), chain_first)
    assert death.returncode == 0, death.stderr
    assert len(home.reports()) == is_reported


@pytest.mark.parametrize("way", ["give_up", "raise"])
def test_a_handler_that_gives_up_is_called_once_and_the_crash_reported(
    way: str, home: Home, runtime: Callable[[str], Path]
) -> None:
    program = f"runtime.install_{way}()\ninstall()\nctypes.string_at(0x10)"
    death = run(home, runtime("libjvm.so"), program)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    assert death.stdout == "handler called\n"
    told = home.report().document["mechanism"]["signal"]
    assert (told["code_name"], int(told["address"], 16)) == ("SEGV_MAPERR", 0x10)


def test_a_handler_that_aborts_leaves_a_report_of_the_fault(
    home: Home, runtime: Callable[[str], Path]
) -> None:
    death = run(
        home, runtime("libjvm.so"), "runtime.install_abort()\ninstall()\nctypes.string_at(0x10)"
    )
    assert death.returncode == -signal.SIGABRT, death.stderr
    assert death.stdout == "handler called\n"
    assert home.report().document["mechanism"]["signal"]["name"] in ("SIGABRT", "SIGSEGV")


@pytest.mark.parametrize("previous", ["", "runtime.install_ignore()"])
def test_without_a_handler_before_a_crash_is_a_crash(
    previous: str, home: Home, runtime: Callable[[str], Path]
) -> None:
    program = f"{previous}\ninstall()\nctypes.string_at(0x10)"
    death = run(home, runtime("libjvm.so"), program, "always")
    assert death.returncode == -signal.SIGSEGV, death.stderr
    assert home.report().dump.is_file()


def test_a_handler_for_one_fault_repairs_one(home: Home, runtime: Callable[[str], Path]) -> None:
    program = repaired("plain").replace("install_plain", "install_once")
    death = run(home, runtime("libjvm.so"), program)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    told = home.report().document["mechanism"]["signal"]
    assert (told["code_name"], told["access"]) == ("SEGV_ACCERR", "write")


def test_the_handler_runs_with_the_mask_that_it_would_have_had(
    home: Home, runtime: Callable[[str], Path]
) -> None:
    program = f"""{repaired("skip")}
assert (runtime.blocked_signal(), runtime.blocked_other()) == (1, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
runtime.fault_and_skip()
assert (runtime.blocked_signal(), runtime.blocked_other()) == (1, 1)
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {{signal.SIGUSR2}}
"""
    death = run(home, runtime("libjvm.so"), program)
    assert death.returncode == 0, death.stderr


def test_a_crash_after_many_repaired_faults_is_reported(
    home: Home, runtime: Callable[[str], Path]
) -> None:
    program = repaired("repair", 1000) + "os.kill(os.getpid(), signal.SIGBUS)"
    death = run(home, runtime("libjvm.so"), program)
    assert death.returncode == -signal.SIGBUS, death.stderr
    assert home.report().document["mechanism"]["signal"]["name"] == "SIGBUS"
