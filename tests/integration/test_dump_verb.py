"""`lastwords dump`: a dump of a process that runs on and knows nothing of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dying import analyze, crashing_frames, wait_until
from foreign import read_with_breakpad
from targets import compile_target, facts_of, interpreters, lastwords, start

from lastwords.monitor.plan import MonitorPlan
from lastwords.sdk.native import find_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

NOBODY = 65534
PYTHON_TARGET = """
import json, os, sys, threading, time
def a_known_function():
    time.sleep(600)
threading.Thread(target=a_known_function, name="the worker", daemon=True).start()
time.sleep(0.05)
print(json.dumps({"pid": os.getpid()}), flush=True)
def waiting_for_input():
    sys.stdin.read()
waiting_for_input()
"""


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_target(tmp_path_factory.mktemp("target"))


@pytest.fixture
def living(target: Path) -> Iterator[subprocess.Popen[str]]:
    process, _ = start([target, "live"])
    yield process
    process.kill()
    process.communicate()


def test_the_dump_gets_its_name_and_the_process_goes_on(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    done = lastwords("dump", living.pid, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (dump,) = tmp_path.iterdir()
    assert done.stdout == f"{dump}\n"
    name, date, clock = dump.stem.split("_")
    assert (name, len(date), len(clock), dump.suffix) == ("target", 6, 6, ".dmp")
    assert f"target ({living.pid}) stood still for " in done.stderr
    assert dump.stat().st_mode & 0o777 == 0o600
    (facts,) = facts_of(living.communicate(timeout=60)[0])
    assert living.returncode == 0
    assert facts["least"] > 0
    assert facts["interruptions"] == 0, "a system call of the target was interrupted"


def test_all_threads_are_in_it_with_their_stacks(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    done = lastwords("dump", "--json", living.pid, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["pid"], told["process"], told["python"]) == (living.pid, "target", None)
    assert told["capture"] == {"threads": "ptrace", "memory": "process_vm_readv"}
    assert told["soft_errors"] == []
    assert 0 <= told["stopped_ms"] < 5000
    (dump,) = told["dumps"]
    assert (dump["kind"], dump["size_bytes"]) == ("mini", Path(dump["file"]).stat().st_size)
    analysis = analyze(Path(dump["file"]))
    tasks = {int(task.name) for task in Path(f"/proc/{living.pid}/task").iterdir()}
    assert {thread["thread_id"] for thread in analysis["threads"]} == tasks
    functions = [
        [frame.get("function") for frame in thread["frames"]] for thread in analysis["threads"]
    ]
    assert sum("count" in names for names in functions) == 3
    assert sum("live" in names for names in functions) == 1


@pytest.mark.foreign
def test_breakpad_reads_who_was_dumped(living: subprocess.Popen[str], tmp_path: Path) -> None:
    done = lastwords("dump", "-mm", "-ma", living.pid, "both.dmp", cwd=tmp_path)
    assert done.stdout.split() == [str(tmp_path / "both.dmp"), str(tmp_path / "both-full.dmp")]
    for dump in done.stdout.split():
        view = read_with_breakpad(Path(dump))
        assert view.crash == "DUMP_REQUESTED"
        assert view.thread_ids[view.crashing_thread] == living.pid
        assert len(view.thread_ids) == 4
        assert "target" in view.modules


@pytest.mark.parametrize(("version", "program"), list(interpreters()))
def test_python_stacks_are_found_without_our_help(
    version: str, program: Path, tmp_path: Path
) -> None:
    process, pid = start([program, "-c", PYTHON_TARGET])
    done = lastwords("dump", "--json", pid, cwd=tmp_path)
    process.communicate("")
    told = json.loads(done.stdout)
    assert told["python"] == version
    assert told["soft_errors"] == []
    analysis = analyze(Path(told["dumps"][0]["file"]))
    assert analysis["python"]["version"] == version
    names = [frame["function"] for frame in crashing_frames(analysis) if frame["kind"] == "python"]
    assert names == ["waiting_for_input", "<module>"]
    others = [
        frame["function"]
        for thread in analysis["threads"]
        for frame in thread["frames"]
        if frame["kind"] == "python"
    ]
    assert "a_known_function" in others


def test_kinds_are_procdumps_words(living: subprocess.Popen[str], tmp_path: Path) -> None:
    done = lastwords(
        "dump", "--json", "-mt", "-mp", "-mc", "WithFullMemoryInfo|0x2", "-mk", living.pid,
        "folder/", cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout)
    kinds = {dump["kind"]: dump for dump in told["dumps"]}
    assert set(kinds) == {"triage", "miniplus", "custom", "kernel"}
    assert kinds["custom"]["flags"] == 0x802
    assert len(list((tmp_path / "folder").iterdir())) == 4
    for dump in kinds.values():
        assert analyze(Path(dump["file"]))["pid"] == living.pid
    threads = analyze(Path(kinds["kernel"]["file"]))["threads"]
    stands = [thread["kernel_stack"] for thread in threads]
    # One thread counts, and may be found at work; that we have stopped them is not to be seen.
    assert any("S (sleeping)" in one for one in stands), stands
    assert not any("ptrace_stop" in one for one in stands), stands


def test_a_file_that_is_there_stays_unless_told_otherwise(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    old = tmp_path / "deep" / "er" / "mine.dmp"
    old.parent.mkdir(parents=True)
    old.write_text("mine")
    first = lastwords("dump", living.pid, "deep/er/mine", cwd=tmp_path)
    assert first.stdout == f"{old.with_name('mine_1.dmp')}\n"
    assert old.read_text() == "mine"
    second = lastwords("dump", "-o", living.pid, "deep/er/mine.dmp", cwd=tmp_path)
    assert second.stdout == f"{old}\n"
    assert analyze(old)["pid"] == living.pid


def test_words_in_the_name_are_replaced(living: subprocess.Popen[str], tmp_path: Path) -> None:
    pattern = "PROCESSNAME/PID_EXCEPTIONCODE_RAPID.dmp"
    done = lastwords("dump", living.pid, pattern, cwd=tmp_path)
    assert done.stdout == f"{tmp_path}/target/{living.pid}_REQUESTED_RAPID.dmp\n"


def test_a_stopped_process_is_dumped_and_stays_stopped(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    def state() -> str:
        return Path(f"/proc/{living.pid}/stat").read_text().rpartition(")")[2].split()[0]

    living.send_signal(19)
    wait_until(lambda: state() == "T", "the target's stop")
    assert lastwords("dump", living.pid, cwd=tmp_path).returncode == 0
    wait_until(lambda: state() == "T", "the target's stop again")
    living.send_signal(18)
    wait_until(lambda: state() == "S", "the target's life")


def test_a_process_whose_main_thread_has_ended_is_dumped(target: Path, tmp_path: Path) -> None:
    process, pid = start([target, "headless"])
    wait_until(lambda: ") Z " in Path(f"/proc/{pid}/stat").read_text(), "the main thread's end")
    done = lastwords("dump", "--json", pid, cwd=tmp_path)
    process.kill()
    process.communicate()
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["soft_errors"] == []
    analysis = analyze(Path(told["dumps"][0]["file"]))
    functions = [f.get("function") for f in crashing_frames(analysis)]
    assert "count" in functions


def test_a_name_must_mean_one_process(target: Path, tmp_path: Path) -> None:
    program = tmp_path / "lw_only_one"
    program.write_bytes(target.read_bytes())
    program.chmod(0o755)
    first, pid = start([program, "live"])
    try:
        done = lastwords("dump", "--json", "lw_only_one", cwd=tmp_path)
        assert json.loads(done.stdout)["pid"] == pid
        second, other = start([program, "live"])
        done = lastwords("dump", "lw_only_one", cwd=tmp_path)
        second.communicate("")
        assert done.returncode == 2
        assert done.stdout == ""
        assert "2 processes are named lw_only_one" in done.stderr
        assert str(pid) in done.stderr
        assert f"hint: name one by its id: lastwords dump {other}" in done.stderr
    finally:
        first.communicate("")
    done = lastwords("dump", "lw_only_one", cwd=tmp_path)
    assert done.returncode == 3
    assert "there is no process named lw_only_one" in done.stderr


def test_what_cannot_be_dumped_is_told(tmp_path: Path) -> None:
    gone = lastwords("dump", 2**22 + 1, cwd=tmp_path)
    assert (gone.returncode, gone.stdout) == (3, "")
    assert "there is no process" in gone.stderr
    child = subprocess.Popen(["true"])
    wait_until(
        lambda: ") Z " in Path(f"/proc/{child.pid}/stat").read_text(), "the end of the child"
    )
    zombie = lastwords("dump", child.pid, cwd=tmp_path)
    child.wait()
    assert zombie.returncode == 3
    assert "has ended already" in zombie.stderr
    kernel = Path("/proc/2/stat")
    if kernel.exists() and "kthreadd" in kernel.read_text():
        thread = lastwords("dump", 2, cwd=tmp_path)
        assert thread.returncode == 3
        assert "a thread of the kernel" in thread.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_words_are_usage(living: subprocess.Popen[str], tmp_path: Path) -> None:
    flags = lastwords("dump", "-mc", "WithNothing", living.pid, cwd=tmp_path)
    assert flags.returncode == 2
    assert "WithNothing" in flags.stderr
    assert lastwords("dump", cwd=tmp_path).returncode == 2


def test_a_folder_that_cannot_be_written_is_told(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    done = lastwords("dump", living.pid, "/proc/nowhere/x.dmp", cwd=tmp_path)
    assert done.returncode == 1
    assert "no dump could be written to /proc/nowhere/x.dmp" in done.stderr
    assert "hint: choose a folder" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's process")
def test_a_process_of_another_user_needs_rights(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for their owner only
        Path(folder).chmod(0o755)
        monitor = Path(folder, "monitor")
        shutil.copy(find_monitor(), monitor)
        plan = MonitorPlan(target=str(tmp_path / "x.dmp")).to_json(process=str(living.pid))
        done = subprocess.run(
            [monitor, "dump", plan],
            capture_output=True,
            text=True,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            timeout=60,
            cwd="/",
        )
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "process_not_traceable"
    assert f"it belongs to user 0, you are user {NOBODY}" in error["message"]
    assert error["hint"] == f"sudo lastwords dump {living.pid}"


def test_a_process_under_a_debugger_says_whose(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    tracer = subprocess.Popen(
        ["gdb", "--nx", "-q", "-p", str(living.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    status = Path(f"/proc/{living.pid}/status")
    wait_until(lambda: f"TracerPid:\t{tracer.pid}\n" in status.read_text(), "the debugger's grip")
    done = lastwords("dump", living.pid, cwd=tmp_path)
    tracer.communicate(b"detach\nquit\n")
    assert done.returncode == 4
    assert f"is traced by process {tracer.pid} (gdb) already" in done.stderr


def test_many_dumps_leave_the_target_unharmed(
    living: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert living.stdin is not None
    assert living.stdout is not None

    def counter() -> int:
        living.stdin.write("x")
        living.stdin.flush()
        return int(living.stdout.readline())

    before = counter()
    for _ in range(5):
        assert lastwords("dump", living.pid, "again.dmp", cwd=tmp_path).returncode == 0
    end = time.monotonic() + 60
    while counter() <= before:
        assert time.monotonic() < end, "the target stands still"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(["again.dmp", *(f"again_{n}.dmp" for n in range(1, 5))])
