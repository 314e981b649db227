"""A child that hangs, eats memory, floods or forks ends, and the server hears how."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lastwords.processor import ChildEnd, ChildLimits, run_child
from lastwords.processor.isolate import Interrupt

LIMITS = ChildLimits(
    wall_s=20, cpu_s=10, address_space_bytes=1 << 30, file_bytes=1 << 20, open_files=64
)


def python(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", program]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def wait_dead(pid: int) -> None:
    deadline_s = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline_s, f"process {pid} outlived its child"
        time.sleep(0.02)


def test_output_errors_and_status_come_back() -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    result = run_child(python(program), LIMITS)
    assert (result.end, result.exit_status) == (ChildEnd.EXITED, 3)
    assert (result.output, result.error_text) == (b"out\n", "err\n")
    assert "exit status 3" in result.description


def test_hang_is_killed_at_the_wall_time() -> None:
    started_s = time.monotonic()
    result = run_child(python("import time; time.sleep(60)"), replace(LIMITS, wall_s=0.5))
    assert result.end is ChildEnd.WALL_TIME
    assert time.monotonic() - started_s < 5
    assert "longer than allowed" in result.description


def test_endless_loop_is_killed_at_the_processor_time() -> None:
    result = run_child(python("while True: pass"), replace(LIMITS, cpu_s=1))
    assert result.end in (ChildEnd.CPU_TIME, ChildEnd.SIGNALLED)
    assert result.took_s < 15


def test_memory_is_bounded() -> None:
    result = run_child(python("b = bytearray(3 << 30)"), LIMITS)
    assert (result.end, result.exit_status) == (ChildEnd.EXITED, 1)
    assert "MemoryError" in result.error_text


def test_flood_of_output_is_bounded() -> None:
    flood = "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536)); sys.stdout.flush()"
    result = run_child(python(f"import signal; signal.signal(25, signal.SIG_DFL)\n{flood}"), LIMITS)
    assert result.end is ChildEnd.OUTPUT_SIZE
    assert len(result.output) == LIMITS.file_bytes


def test_only_the_end_of_the_errors_is_kept() -> None:
    result = run_child(python("import sys; sys.stderr.write('x' * 9999 + 'end')"), LIMITS)
    assert len(result.error_text) == 4096
    assert result.error_text.endswith("end")


def test_crash_of_the_child_is_a_result() -> None:
    result = run_child(python("import os; os.abort()"), LIMITS)
    assert (result.end, result.signal_number) == (ChildEnd.SIGNALLED, signal.SIGABRT)
    assert "SIGABRT" in result.description


@pytest.mark.parametrize("is_hanging", [True, False])
def test_grandchildren_end_with_the_child(is_hanging: bool) -> None:
    program = (
        "import os, sys, time\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    time.sleep(60)\n"
        "print(pid, flush=True)\n" + ("time.sleep(60)" if is_hanging else "")
    )
    result = run_child(python(program), replace(LIMITS, wall_s=2))
    wait_dead(int(result.output))


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    """As when the server is killed: nobody is left to kill the child."""
    program = (
        "from lastwords.processor import run_child, ChildLimits\n"
        "import sys\n"
        'code = \'import os,sys,time; open(sys.argv[1], "w").write(str(os.getpid())); '
        "time.sleep(60)'\n"
        "run_child([sys.executable, '-c', code, sys.argv[1]], ChildLimits())\n"
    )
    path = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", program, str(path)])
    try:
        deadline_s = time.monotonic() + 20
        while not path.exists() or not path.read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        parent.kill()
        parent.wait()
        wait_dead(int(path.read_text()))
    finally:
        parent.kill()
        parent.wait()


def test_child_has_no_input_no_core_and_a_bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    program = (
        "import os, sys, resource\n"
        "print(repr(sys.stdin.read()))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "print('DATABASE_PASSWORD' in os.environ)\n"
        "print(os.getsid(0) == os.getpid())\n"
        "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3])\n"
        "print(open('/proc/self/status').read().split('NoNewPrivs:')[1].split()[0])\n"
    )
    lines = run_child(python(program), LIMITS).output.decode().splitlines()
    assert lines == ["''", "(0, 0)", "False", "True", "[0, 1, 2]", "1"]


def can_unshare_network() -> bool:
    new_user_and_network = 0x50000000  # CLONE_NEWUSER | CLONE_NEWNET, linux/sched.h
    program = f"import ctypes; print(ctypes.CDLL(None).unshare({new_user_and_network}))"
    return subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "0"


def test_child_has_no_network_where_the_kernel_allows_it() -> None:
    if not can_unshare_network():
        pytest.skip("this kernel lets unprivileged users make no namespaces")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = (
            "import socket\n"
            f"try: socket.create_connection(('127.0.0.1', {port}), 2); print('connected')\n"
            "except OSError: print('refused')\n"
        )
        assert run_child(python(program), LIMITS).output == b"refused\n"


def test_interrupt_ends_running_and_later_children() -> None:
    interrupt = Interrupt()
    timer = threading.Timer(0.3, interrupt.set)
    timer.start()
    started_s = time.monotonic()
    first = run_child(python("import time; time.sleep(60)"), LIMITS, interrupt)
    later = run_child(python("import time; time.sleep(60)"), LIMITS, interrupt)
    timer.join()
    interrupt.close()
    assert (first.end, later.end) == (ChildEnd.INTERRUPTED, ChildEnd.INTERRUPTED)
    assert time.monotonic() - started_s < 10


def test_program_that_does_not_exist_is_a_failure_with_a_reason() -> None:
    result = run_child(["/no/such/program"], LIMITS)
    assert result.end is ChildEnd.EXITED
    assert result.exit_status != 0
    assert "No such file" in result.error_text


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run_child(python("pass"), LIMITS)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
