"""Crashes at hard moments: start, end, collection, children, several at once, our own handler."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, analyze, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

START = """
import atexit, ctypes, gc, os, signal, threading, time
import lastwords
installed = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
moments = ctypes.CDLL(os.environ["MOMENTS"])

class Bomb:
    def __init__(self):
        self.cycle = self
    def __del__(self, crash=ctypes.PyDLL(os.environ["MOMENTS"]).crash):
        crash()

"""
MOMENTS = {
    "atexit": "atexit.register(moments.crash)",
    "module teardown": "bomb = Bomb(); bomb.cycle = None; gc.disable()",
    "garbage collector": "Bomb(); gc.collect()",
    "automatic collection": "Bomb(); kept = [[] for _ in range(100_000)]",
    "after Python": "moments.crash_after_python()",
    "thread after Python": "moments.crash_in_thread_after_python()",
    "daemon thread after Python": "moments.sleep_after_python()\n"
    "threading.Thread(target=moments.sleep_and_crash, args=(500,), daemon=True).start()",
    "eight threads at once": "moments.crash_at_once(8)",
    "inside a signal handler": "signal.signal(signal.SIGUSR1, lambda *_: moments.crash())\n"
    "os.kill(os.getpid(), signal.SIGUSR1); time.sleep(1)",
}


@pytest.fixture(scope="session")
def moments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of moments.c."""
    return build(tmp_path_factory, "moments")


def build(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    library = tmp_path_factory.mktemp(name) / f"lib{name}.so"
    command = ["cc", "-shared", "-fPIC", "-pthread", "-o", str(library)]
    subprocess.run([*command, str(PROGRAMS / f"{name}.c")], check=True, timeout=60)
    return library


def run(home: Home, moments: Path, program: str, preload: str = "") -> Death:
    return run_python(
        ["-c", START + program],
        home,
        DUMPS=str(home.spool),
        MOMENTS=str(moments),
        LD_PRELOAD=preload,
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_whole_report_is_made(moment: str, home: Home, moments: Path) -> None:
    death = run(home, moments, MOMENTS[moment])
    assert death.returncode == -signal.SIGSEGV, death.stderr
    report = home.report()
    told = report.document["mechanism"]["signal"]
    assert (told["name"], int(told["address"], 16)) == ("SIGSEGV", 0x10)
    analysis = analyze(report.dump)
    crashing = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    assert "crash" in str(crashing["frames"][0]["function"])


def test_a_crash_while_the_interpreter_starts_is_reported(home: Home) -> None:
    customize = home.folder / "start" / "sitecustomize.py"
    customize.parent.mkdir()
    customize.write_text(
        "import ctypes, os, lastwords\n"
        "lastwords.install(product='p', version='1', dump_dir=os.environ['DUMPS'])\n"
        "ctypes.string_at(0x10)\n"
    )
    path = f"{customize.parent}:{home.environment().get('PYTHONPATH', '')}"
    death = run_python(["-c", "pass"], home, DUMPS=str(home.spool), PYTHONPATH=path)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    frames = analyze(home.report().dump)["crashing_thread"]["frames"]
    assert any("sitecustomize" in str(frame.get("file")) for frame in frames)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_is_reported(method: str, home: Home) -> None:
    program = PROGRAMS / "die_in_children.py"
    death = run_python([program, method], home, DUMPS=str(home.spool))
    assert death.returncode == 0, death.stderr
    assert death.stdout == "-11\n"
    assert home.report().document["annotations"]["who"] == "child"


def test_a_child_in_a_vfork_window_does_not_disturb_its_parent(home: Home, moments: Path) -> None:
    program = """
lastwords.annotate("who", "parent")
for _ in range(3):
    assert moments.crash_in_vfork() & 127 == 11
assert os.path.exists(f"/proc/{installed.monitor_pid}")
print(os.getpid(), flush=True)
moments.crash()
"""
    death = run(home, moments, program)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    pids = [report.document["process"]["pid"] for report in home.reports()]
    assert len(pids) == 4
    assert pids.count(int(death.stdout)) == 1


def test_a_crash_in_our_own_handler_ends_the_process_at_once(
    home: Home, moments: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    preload = build(tmp_path_factory, "crash_in_handler")
    death = run(home, moments, "moments.crash()", str(preload))
    assert death.returncode == -signal.SIGSEGV, death.stderr
    assert "the signal handler itself crashed" in death.stderr
