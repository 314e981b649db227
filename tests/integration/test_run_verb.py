"""`lastwords run`: a program that knows nothing of us dies, and its dump tells why."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dying import DEADLINE_S, PROGRAMS, Home, analyze, crashing_frames, wait_until
from foreign import read_with_breakpad, read_with_lldb
from targets import LASTWORDS, compile_target, facts_of, interpreters, lastwords

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

WILD = 0x1234
PYTHON_CRASH = (
    "import ctypes\ndef the_culprit():\n    ctypes.memset({address}, 0, 8)\nthe_culprit()\n"
)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_target(tmp_path_factory.mktemp("target"))


def the_dump(folder: Path) -> Path:
    dumps = list(folder.glob("*.dmp"))
    assert len(dumps) == 1, dumps
    return dumps[0]


def functions(analysis: dict[str, Any]) -> list[str]:
    return [frame.get("function") or "" for frame in crashing_frames(analysis)]


def test_a_crash_in_a_thread_is_dumped_and_kills_as_ever(target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "--", target, "crash", cwd=tmp_path)
    assert done.returncode == -signal.SIGSEGV
    program, thread = facts_of(done.stdout)
    dump = the_dump(tmp_path)
    name, date, clock = dump.stem.split("_")
    assert (name, len(date), len(clock)) == ("target", 6, 6)
    assert f"SIGSEGV.SEGV_MAPERR at {WILD:#018x} in thread {thread['tid']} of target" in done.stderr
    assert f"mini dump written: {dump}" in done.stderr
    analysis = analyze(dump)
    assert analysis["pid"] == program["pid"]
    assert analysis["crash_info"]["type"].startswith("SIGSEGV")
    assert int(analysis["crash_info"]["address"], 16) == WILD
    crashing = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    assert crashing["thread_id"] == thread["tid"]
    assert functions(analysis)[:2] == ["write_wild", "crash"]
    assert len(analysis["threads"]) == 3
    assert "count" in [frame.get("function") for t in analysis["threads"] for frame in t["frames"]]


@pytest.mark.foreign
def test_others_read_signal_thread_and_address(target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "-ma", "--", target, "crash", cwd=tmp_path)
    _, thread = facts_of(done.stdout)
    view = read_with_breakpad(the_dump(tmp_path))
    assert view.crash == "SIGSEGV /SEGV_MAPERR"
    assert view.address == WILD
    assert view.thread_ids[view.crashing_thread] == thread["tid"]
    lldb = read_with_lldb(the_dump(tmp_path))
    (crashed,) = [t for t in lldb["threads"] if t["signal"] == signal.SIGSEGV]
    assert crashed["tid"] == thread["tid"]


@pytest.mark.parametrize(
    ("way", "number", "title"),
    [
        ("divide", signal.SIGFPE, "SIGFPE.FPE_INTDIV at 0x"),
        ("trap", signal.SIGTRAP, "SIGTRAP.SI_KERNEL"),
        ("illegal", signal.SIGILL, "SIGILL.ILL_ILLOPN at 0x"),
        ("abort", signal.SIGABRT, "SIGABRT.SI_TKILL"),
        ("xcpu", signal.SIGXCPU, "SIGXCPU.SI_TKILL"),
        ("exec", signal.SIGSEGV, "SIGSEGV.SEGV_MAPERR at 0x"),
        ("reset", signal.SIGSEGV, f"SIGSEGV.SEGV_MAPERR at {WILD:#018x}"),
    ],
)
def test_every_deadly_signal(
    way: str, number: signal.Signals, title: str, target: Path, tmp_path: Path
) -> None:
    done = lastwords("run", "--", target, way, cwd=tmp_path)
    assert done.returncode == -number
    assert title in done.stderr
    analysis = analyze(the_dump(tmp_path))
    assert analysis["crash_info"]["type"].startswith(number.name)
    assert analysis["pid"] == facts_of(done.stdout)[-1].get("pid", facts_of(done.stdout)[0]["pid"])


def test_an_assertion_keeps_its_text(target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "--", target, "assert", cwd=tmp_path)
    assert done.returncode == -signal.SIGABRT
    assert "argc == 77" in analyze(the_dump(tmp_path))["crash_info"]["assertion"]


@pytest.mark.parametrize(("way", "status"), [("caught", 5), ("ignored", 6), ("", 0)])
def test_who_survives_leaves_no_dump(way: str, status: int, target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "--", target, way, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, "")
    assert list(tmp_path.iterdir()) == []


def test_a_handler_that_raises_again_hides_nothing(target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "--", target, "raise", cwd=tmp_path)
    assert done.returncode == -signal.SIGSEGV
    assert "write_wild" in functions(analyze(the_dump(tmp_path)))


def test_children_are_watched_unless_told_otherwise(target: Path, tmp_path: Path) -> None:
    done = lastwords("run", "--", target, "fork", cwd=tmp_path)
    assert done.returncode == 9
    child = facts_of(done.stdout)[1]["pid"]
    assert analyze(the_dump(tmp_path))["pid"] == child
    alone = lastwords("run", "--no-children", "--", target, "fork", cwd=tmp_path)
    assert (alone.returncode, alone.stderr) == (9, "")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_shell_between_changes_nothing(target: Path, tmp_path: Path) -> None:
    script = f"{target} crash; echo went on with $?; exit 3"
    done = lastwords("run", "-n", "1", "--", "sh", "-c", f"{script}", cwd=tmp_path)
    assert done.returncode == 3
    assert f"went on with {128 + signal.SIGSEGV}" in done.stdout
    assert the_dump(tmp_path).name.startswith("target_")


def test_count_bounds_the_dumps(target: Path, tmp_path: Path) -> None:
    script = f"for i in 1 2 3 4; do {target} divide; done; true"
    done = lastwords("run", "-n", "2", "-q", "--", "sh", "-c", script, cwd=tmp_path)
    assert done.returncode == 0
    assert "lastwords:" not in done.stderr
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("version", "program"), list(interpreters()))
def test_python_frames_are_in_it(version: str, program: Path, tmp_path: Path) -> None:
    code = PYTHON_CRASH.format(address=WILD)
    done = lastwords("run", "-o", "PROCESSNAME.dmp", "--", program, "-c", code, cwd=tmp_path)
    assert done.returncode == -signal.SIGSEGV
    analysis = analyze(the_dump(tmp_path))
    assert analysis["python"]["version"] == version
    frames = [f["function"] for f in crashing_frames(analysis) if f["kind"] == "python"]
    assert frames == ["the_culprit", "<module>"]
    assert int(analysis["crash_info"]["address"], 16) == WILD


def test_a_program_with_lastwords_makes_its_own_report_too(
    target: Path, tmp_path: Path, faults_library: Path
) -> None:
    home = Home(folder=tmp_path / "home")
    home.folder.mkdir()
    environment = home.environment(
        LASTWORDS_FAULTS=str(faults_library), TEST_DUMP_DIR=str(home.spool)
    )
    command = [sys.executable, PROGRAMS / "die.py", "fault_write_null", "python_thread"]
    done = lastwords("run", "--", *command, cwd=tmp_path, env=environment)
    assert done.returncode == -signal.SIGSEGV
    report = home.report()
    assert report.document["mechanism"]["signal"]["code_name"] == "SEGV_MAPERR"
    assert report.document["capture"]["threads"] == "none"  # `run` traces them
    assert (
        analyze(report.dump)["crash_info"]["address"]
        == analyze(the_dump(tmp_path))["crash_info"]["address"]
    )
    names = [
        f["function"] for f in crashing_frames(analyze(the_dump(tmp_path))) if f["kind"] == "python"
    ]
    assert "innermost" in names


def test_the_comment_tells_what_was_typed_and_why(target: Path, tmp_path: Path) -> None:
    lastwords("run", "-o", "a.dmp", "--", target, "crash", cwd=tmp_path)
    comments = analyze(tmp_path / "a.dmp")["lastwords"]["dump"]["comments"]
    text = "\n".join(comments) if isinstance(comments, list) else str(comments)
    assert f"*** lastwords run -o a.dmp -- {target} crash" in text
    assert "*** Unhandled exception: SIGSEGV.SEGV_MAPERR" in text


def test_what_cannot_be_run_says_so_with_the_shells_status(tmp_path: Path) -> None:
    missing = lastwords("run", "--", "no-such-command", cwd=tmp_path)
    assert missing.returncode == 127
    assert "error: there is no command no-such-command" in missing.stderr
    (tmp_path / "data").write_text("no program")
    no_program = lastwords("run", "--", "./data", cwd=tmp_path)
    assert no_program.returncode == 126
    assert "error: ./data cannot be executed" in no_program.stderr
    assert lastwords("run", cwd=tmp_path).returncode == 2
    nowhere = lastwords("run", "-o", "/proc/no/x.dmp", "--", "true", cwd=tmp_path)
    assert nowhere.returncode == 1
    assert "no dump could be written to /proc/no/x.dmp" in nowhere.stderr


def test_what_is_watched_already_is_told(target: Path, tmp_path: Path) -> None:
    inner = [*LASTWORDS, "run", "--", target, "crash"]
    refused = lastwords("run", "--", *inner, cwd=tmp_path)
    assert refused.returncode == 4
    assert "the program is watched by process " in refused.stderr
    assert "hint: start that one so that it leaves children alone" in refused.stderr
    assert (refused.stdout, list(tmp_path.iterdir())) == ("", [])
    done = lastwords("run", "--no-children", "--", *inner, cwd=tmp_path)
    assert done.returncode == -signal.SIGSEGV
    assert analyze(the_dump(tmp_path))["crash_info"]["type"].startswith("SIGSEGV")


def test_where_ptrace_is_forbidden_nothing_is_started(target: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAMS / "without_ptrace.py", *LASTWORDS, "run", "--", target, "crash"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "error: a program may not be watched here: Operation not permitted" in done.stderr
    assert "--cap-add=SYS_PTRACE" in done.stderr


def test_input_output_and_status_are_the_programs_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [*LASTWORDS, "run", "--", "sh", "-c", "cat; echo err >&2; exit 42"],
        input=b"through\0and through",
        capture_output=True,
        cwd=tmp_path,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (42, b"through\0and through", b"err\n")


def test_nobody_has_to_read_what_we_say(target: Path, tmp_path: Path) -> None:
    command = [*LASTWORDS, "run", "--", str(target), "crash"]
    with Path("/dev/full").open("w") as nowhere:
        done = subprocess.run(command, cwd=tmp_path, stdout=nowhere, stderr=nowhere, check=False)
    assert done.returncode == -signal.SIGSEGV
    assert the_dump(tmp_path)


def test_a_kill_is_told_and_leaves_no_dump(tmp_path: Path) -> None:
    done = lastwords("run", "--", "sh", "-c", "kill -KILL $$", cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert "the command was killed (SIGKILL), which leaves no dump" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def running(target: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`lastwords run` of a program that tells its signals, in a process group of its own."""
    process = subprocess.Popen(
        [*LASTWORDS, "run", "--", target, "signals"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    yield process
    process.kill()
    process.communicate()


def test_signals_sent_to_us_are_passed_on(running: subprocess.Popen[str], tmp_path: Path) -> None:
    assert running.stdout is not None
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        running.send_signal(number)
        assert running.stdout.readline() == f"got {number.value}\n"
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=DEADLINE_S) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_the_program_survives_our_death(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    running.kill()
    running.wait()
    status = Path(f"/proc/{child}/status")
    wait_until(lambda: "TracerPid:\t0\n" in status.read_text(), "the end of the tracing")
    os.kill(int(child), signal.SIGUSR1)
    assert running.stdout.readline() == f"got {signal.SIGUSR1.value}\n"
    os.kill(int(child), signal.SIGKILL)


def _read_until(terminal: int, text: bytes) -> bytes:
    seen = b""
    end = time.monotonic() + DEADLINE_S
    while text not in seen:
        assert time.monotonic() < end, seen
        seen += os.read(terminal, 4096)
    return seen


def test_the_terminals_keys_reach_the_program(target: Path, tmp_path: Path) -> None:
    """Ctrl-C goes to the program, Ctrl-Z stops both, `fg` continues both, under a real shell."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ |= {"PS1": "PROMPT>", "HISTFILE": ""}
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    command = " ".join([*LASTWORDS, "run", "--", str(target), "signals"])
    _read_until(terminal, b"PROMPT>")
    os.write(terminal, command.encode() + b"\n")
    _read_until(terminal, b"ready")
    os.write(terminal, b"\x03")
    _read_until(terminal, b"got 2")
    os.write(terminal, b"\x1a")
    assert b"Stopped" in _read_until(terminal, b"PROMPT>")
    os.write(terminal, b"fg\n")
    _read_until(terminal, b"got 18")
    os.write(terminal, b"\x03")
    _read_until(terminal, b"got 2")
    os.write(terminal, b"\x1c")
    _read_until(terminal, b"got 3")
    os.write(terminal, b"\x1a")
    _read_until(terminal, b"PROMPT>")
    os.write(terminal, b"kill -TERM %1; fg; echo status $?\n")
    _read_until(terminal, b"status 143")
    os.write(terminal, b"exit\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert list(tmp_path.iterdir()) == []
