"""`lastwords stacks`: the merged stacks of living processes, cores and dumps."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dying import DEADLINE_S, PROGRAMS
from targets import compile_target, interpreters, lastwords, start

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

STAND = PROGRAMS / "stand.py"
NATIVE = Path(sys.executable).with_name("lastwords")
PROGRAM = Path(sys.executable).resolve().name


@pytest.fixture(scope="session")
def no_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("no_rules") / "no_rules.so"
    command = ["cc", "-shared", "-o", str(library), str(PROGRAMS / "no_rules.S")]
    subprocess.run(command, check=True, timeout=DEADLINE_S)
    return library


@pytest.fixture
def standing() -> Iterator[subprocess.Popen[str]]:
    process, _ = start([sys.executable, STAND])
    yield process
    process.kill()
    process.communicate()


def document_of(target: str | Path | int, *words: str, cwd: Path) -> dict[str, Any]:
    done = lastwords("stacks", "--json", *words, target, cwd=cwd)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def short(frame: dict[str, Any]) -> str:
    """`py:Worker.run`, `list_sort`; `?` before a frame that follows a gap."""
    gap = "?" if frame.get("unknown_frames") else ""
    name = frame["function"] or frame["module_offset"]
    return f"{gap}py:{name}" if frame["kind"] == "python" else f"{gap}{name}"


def shorts(document: dict[str, Any]) -> list[list[str]]:
    return [[short(frame) for frame in thread["frames"]] for thread in document["threads"]]


def test_a_living_process_shows_its_python_frames_and_goes_on(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    done = lastwords("stacks", standing.pid, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    version = platform.python_version()
    assert lines[0].startswith(f"{PROGRAM} ({standing.pid}), CPython {version}, 2 threads")
    assert "stood still for" in lines[0]
    main = lines.index(f'Thread {standing.pid} "MainThread" (python)')
    source = STAND.read_text("utf-8").splitlines()
    called = ["main()", "        wait_for_input()", "    sys.stdin.read()"]
    expected = []
    for function, text in zip(["<module>", "main", "wait_for_input"], called, strict=True):
        number = source.index(text) + 1
        expected += [f'  File "{STAND}", line {number}, in {function}', f"    {text.strip()}"]
    assert lines[main + 1 : main + 7] == expected
    assert "  [this frame repeated 8 more times: --all]" in lines
    assert "C " not in done.stdout
    assert "\x1b" not in done.stdout
    out, _ = standing.communicate(timeout=DEADLINE_S)
    assert (standing.returncode, json.loads(out)) == (0, {"done": True})


def test_native_frames_stand_between_the_python_frames(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    document = document_of(standing.pid, "--native", cwd=tmp_path)
    (worker,) = [frames for frames in shorts(document) if "py:Worker.wait" in frames]
    order = ["py:Worker.wait", "list_sort", "builtin_sorted", "py:Worker.run", "thread_run"]
    places = [worker.index(name) for name in order]
    assert places == sorted(places)
    assert worker.count("py:Worker.run") == 10
    assert not [name for name in worker if name.startswith("?")]


def test_newest_first_is_the_same_backwards(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    frames = [
        [line for line in done.stdout.splitlines() if line.startswith("  File")]
        for words in ([], ["--newest-first"])
        for done in [lastwords("stacks", "--all", *words, standing.pid, cwd=tmp_path)]
    ]
    assert sorted(frames[0]) == sorted(frames[1])
    assert frames[0] != frames[1]
    assert frames[1][0].endswith("in wait_for_input")


def test_a_script_is_found_by_its_name(tmp_path: Path) -> None:
    script = tmp_path / "lw_stands_alone.py"
    shutil.copy(STAND, script)
    process, pid = start([sys.executable, script])
    try:
        document = document_of(script.name, cwd=Path("/"))
        # A file of that name in the current folder does not hide the process.
        beside = document_of(script.name, cwd=tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert document["lastwords"]["stacks"]["pid"] == pid
    assert beside["lastwords"]["stacks"]["pid"] == pid


@pytest.mark.parametrize("words", [(), ("--native",)])
def test_dump_core_and_living_process_give_the_same_stacks(
    words: tuple[str, ...], no_rules: Path, tmp_path: Path
) -> None:
    process, pid = start([sys.executable, STAND, "--no-rules", no_rules])
    try:
        living = document_of(pid, *words, cwd=tmp_path)
        dump = tmp_path / "standing.dmp"
        assert lastwords("dump", pid, dump, cwd=tmp_path).returncode == 0
        command = ["gcore", "-o", str(tmp_path / "core"), str(pid)]
        subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    of_dump = document_of(dump, *words, cwd=tmp_path)
    of_core = document_of(tmp_path / f"core.{pid}", *words, cwd=tmp_path)
    assert shorts(of_dump) == shorts(living)
    assert shorts(of_core) == shorts(living)
    sources = [document["lastwords"]["stacks"]["source"] for document in (living, of_dump, of_core)]
    assert sources == ["process", "dump", "core"]
    if words:
        (main,) = [frames for frames in shorts(living) if "py:told_by_c" in frames]
        assert "without_rules" in main


@pytest.mark.parametrize(("version", "program"), list(interpreters()))
def test_every_interpreter_is_understood(version: str, program: Path, tmp_path: Path) -> None:
    process, pid = start([program, STAND])
    try:
        document = document_of(pid, "--native", cwd=tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert document["python"]["version"] == version
    placements = {
        frame["python"]["placement"]
        for thread in document["threads"]
        for frame in thread["frames"]
        if frame["kind"] == "python"
    }
    assert placements == {"anchored"}
    (worker,) = [
        frames
        for frames in shorts(document)
        if any("wait" in f for f in frames[:30]) and any("sorted" in f for f in frames)
    ]
    assert any("list_sort" in name for name in worker)


GIL_HOLDER = """
import ctypes, json, os, threading
def spin():
    while True:
        pass
threading.Thread(target=spin, name="the waiter", daemon=True).start()
print(json.dumps({"pid": os.getpid()}), flush=True)
def hold():
    ctypes.PyDLL(None).usleep(ctypes.c_uint(600_000_000))
hold()
"""


def test_who_holds_the_gil_and_who_waits_for_it(tmp_path: Path) -> None:
    process, pid = start([sys.executable, "-c", GIL_HOLDER])
    try:
        states: list[tuple[bool, bool]] = []
        deadline = time.monotonic() + DEADLINE_S
        while sorted(states) != [(False, True), (True, False)] and time.monotonic() < deadline:
            threads = document_of(pid, cwd=tmp_path)["threads"]
            python = [thread["python"] for thread in threads]
            states = [(thread["holds_gil"], thread["waits_for_gil"]) for thread in python]
        shown = lastwords("stacks", pid, cwd=tmp_path).stdout
    finally:
        process.kill()
        process.communicate()
    assert states == [(True, False), (False, True)], "the main thread holds, the other waits"
    assert f'Thread {pid} "MainThread" (python), holds the GIL' in shown
    assert '"the waiter" (python), waits for the GIL' in shown


COLLECTOR = """
import gc, json, os, sys
gc.disable()
class Slow:
    def __del__(self):
        print(json.dumps({"pid": os.getpid()}), flush=True)
        sys.stdin.read()
odd = Slow()
odd.me = odd
del odd
def collect():
    gc.collect()
collect()
"""


def test_garbage_collection_is_read_from_the_interpreter(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    process, pid = start([sys.executable, "-c", COLLECTOR])
    try:
        shown = lastwords("stacks", pid, cwd=tmp_path).stdout
    finally:
        process.kill()
        process.communicate()
    assert ", collects garbage" in shown
    # A function with that name is no collection.
    assert "collects garbage" not in lastwords("stacks", standing.pid, cwd=tmp_path).stdout


def test_a_process_without_python_shows_its_native_stacks(tmp_path: Path) -> None:
    process, pid = start([compile_target(tmp_path), "live"])
    try:
        done = lastwords("stacks", pid, cwd=tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert done.returncode == 0, done.stderr
    assert "no Python found" in done.stdout.splitlines()[0]
    assert "  C main at " in done.stdout


def test_the_executable_and_the_module_are_one_verb(tmp_path: Path) -> None:
    by_module = lastwords("stacks", "--help", cwd=tmp_path)
    by_executable = subprocess.run(
        [NATIVE, "stacks", "--help"], capture_output=True, text=True, check=True
    )
    assert by_module.stdout == by_executable.stdout
    assert by_executable.stdout.startswith("Usage: lastwords stacks [OPTIONS] PID|NAME|CORE|DUMP")


def test_plain_json_of_a_dump_needs_no_python_and_is_the_same(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    lastwords("dump", standing.pid, cwd=tmp_path)
    (dump,) = tmp_path.glob("*.dmp")
    alone = tmp_path / "lastwords"
    shutil.copy(NATIVE, alone)
    for options in (["--json"], ["--json", "--no-cache", "--symbols", str(tmp_path)]):
        native = subprocess.run([alone, "analyze", dump, *options], capture_output=True, check=True)
        by_module = lastwords("analyze", dump, *options, cwd=tmp_path)
        assert native.stdout.decode() == by_module.stdout
    refused = subprocess.run([alone, "analyze", dump], capture_output=True, check=False)
    assert refused.returncode == 4
    assert b"lastwords-python" in refused.stderr


def test_the_executable_hands_every_other_verb_to_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [NATIVE, "analyze", "nothing.dmp"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: nothing.dmp: there is no such file")
    shown = subprocess.run([NATIVE, "--help"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Usage: lastwords [OPTIONS]")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["4194301"], 3, "there is no process 4194301"),
        (["lw-nobody-is-called-so"], 3, "there is no process named lw-nobody-is-called-so"),
        (["./nothing.dmp"], 3, "there is no such file"),
        (["./text"], 3, "this is a text file; expected a minidump"),
        (["./cut-core"], 3, "the ELF header is cut"),
        (["--symbols", "nowhere", "1"], 1, "symbol source nowhere: there is no such file"),
        (["--nativ", "1"], 2, "there is no option --nativ"),
        ([], 2, "the target is missing"),
        (["1", "2"], 2, "one target too many: 2"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    words: list[str], status: int, told: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello\nworld\n")
    (tmp_path / "cut-core").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00\x3e\x00")
    done = lastwords("stacks", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert told in first
    assert second.startswith("hint: ")


def test_a_reader_that_has_seen_enough_is_no_error(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    command = f"{NATIVE} stacks --native {standing.pid}; echo status $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | head -1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.startswith(PROGRAM)
    assert done.stderr == "status 0\n"


def test_what_another_traces_is_told(standing: subprocess.Popen[str], tmp_path: Path) -> None:
    tracer = subprocess.Popen(
        ["gdb", "-q", "-nx", "-p", str(standing.pid), "-ex", "echo attached\\n"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DEBUGINFOD_URLS": ""},
    )
    assert tracer.stdout is not None
    try:
        while "attached" not in tracer.stdout.readline():
            assert tracer.poll() is None
        done = lastwords("stacks", standing.pid, cwd=tmp_path)
    finally:
        tracer.communicate("detach\nquit\n", timeout=DEADLINE_S)
    assert done.returncode == 4
    assert "is traced by process" in done.stderr
