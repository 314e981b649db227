"""What makes a report hard: lost stacks, dying threads, limits, signals, frozen monitors."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
from dying import PROGRAMS, Death, Home, analyze, run_python

pytestmark = pytest.mark.integration

PLANTED = "hunter2-the-planted-secret"


def die(
    home: Home,
    way: str,
    *,
    by: signal.Signals = signal.SIGSEGV,
    limit: tuple[int, int | None] | None = None,
    **settings: object,
) -> Death:
    settings = {"dump_dir": str(home.spool), **settings}
    death = run_python(
        [PROGRAMS / "die_awkwardly.py", json.dumps(settings), way],
        home,
        TEST_PLANTED=PLANTED,
        TEST_LIMIT=json.dumps(limit),
    )
    assert death.returncode == -by, death.stderr
    return death


def python_functions(analysis: dict[str, Any]) -> list[str]:
    """Names of the Python functions of all threads, without those around them."""
    return [
        frame["function"].rpartition(".")[2]
        for thread in analysis["threads"]
        for frame in thread["frames"]
        if frame["kind"] == "python"
    ]


def codes(home: Home) -> list[str]:
    return [error["code"] for error in home.report().document["soft_errors"]]


def test_a_stack_pointer_that_points_nowhere_does_not_cost_the_memory(home: Home) -> None:
    die(home, "stack-pointer-lost")
    report = home.report()
    assert report.document["capture"] == {"threads": "ptrace", "memory": "process_vm_readv"}
    assert "stack_pointer_lost" in python_functions(analyze(report.dump))


def test_a_process_whose_main_thread_has_ended_is_reported_whole(home: Home) -> None:
    die(home, "main-thread-gone")
    report = home.report()
    assert report.document["capture"] == {"threads": "ptrace", "memory": "process_vm_readv"}
    analysis = analyze(report.dump)
    assert analysis["crashing_thread"]["frames"][0]["module"] is not None
    assert {"string_at", "crash", "wait_and_crash"} <= set(python_functions(analysis))
    assert any("libc.so" in module["filename"] for module in analysis["modules"])


def test_threads_that_end_while_they_are_stopped_do_not_cost_the_others(home: Home) -> None:
    die(home, "threads-come-and-go")
    assert home.report().document["capture"]["threads"] == "ptrace"
    assert "thread_not_traced" not in codes(home)


def test_a_stderr_that_nobody_reads_does_not_hold_the_process(home: Home) -> None:
    started = time.monotonic()
    die(home, "stderr-full")
    assert time.monotonic() - started < 15
    assert home.report().dump.is_file()


def test_a_broken_stderr_does_not_change_the_exit_status(home: Home) -> None:
    die(home, "stderr-broken", by=signal.SIGSYS)
    assert home.report().document["mechanism"]["signal"]["name"] == "SIGSYS"


def test_after_uninstall_a_chained_handler_reports_nothing(home: Home) -> None:
    death = die(home, "disarmed-but-chained")
    assert "Fatal Python error: Segmentation fault" in death.stderr
    assert home.reports() == []


def test_a_signal_sent_during_the_report_does_not_end_it(home: Home) -> None:
    die(home, "second-signal")
    assert home.report().document["mechanism"]["signal"]["name"] == "SIGSEGV"
    assert "string_at" in python_functions(analyze(home.report().dump))


def test_a_thread_to_be_cancelled_is_reported_first(home: Home) -> None:
    die(home, "cancelled")
    assert "cancelled" in python_functions(analyze(home.report().dump))


def test_a_monitor_frozen_with_our_threads_in_hand_does_not_hold_the_process(home: Home) -> None:
    started = time.monotonic()
    die(home, "monitor-frozen", budget_s=2)
    assert time.monotonic() - started < 12
    assert home.reports() == []
    (unfinished,) = home.reports("new")
    assert unfinished.document["mechanism"]["signal"]["name"] == "SIGSEGV"


@pytest.mark.parametrize("way", ["plain", "environment-in-register", "nothing-allowed"])
def test_the_environment_is_nowhere_in_the_dump(way: str, home: Home) -> None:
    die(home, way)
    report = home.report()
    if way == "nothing-allowed":
        assert report.document["capture"] == {"threads": "none", "memory": "served"}
    assert PLANTED.encode() not in report.dump.read_bytes()
    assert PLANTED not in json.dumps(report.document)


def test_more_mappings_than_anybody_has_do_not_cost_modules_and_stacks(home: Home) -> None:
    die(home, "many-mappings")
    report = home.report()
    analysis = analyze(report.dump)
    assert any("libc.so" in module["filename"] for module in analysis["modules"])
    assert {"string_at", "crash", "many_mappings"} <= set(python_functions(analysis))
    assert "stack_not_found" not in codes(home)


def test_the_hosts_limit_of_file_sizes_is_not_the_monitors(home: Home) -> None:
    die(home, "file-size-limited", limit=(20_000, None))
    assert codes(home) == []
    assert home.report().dump.stat().st_size > 20_000


def test_a_limit_that_cannot_be_lifted_leaves_a_readable_dump(home: Home) -> None:
    die(home, "file-size-limited", limit=(32_768, 32_768))
    report = home.report()
    assert "stream_not_written" in codes(home)
    assert report.dump.stat().st_size <= 32_768
    assert report.document["dump"]["size_bytes"] == report.dump.stat().st_size
    assert "SIGSEGV" in analyze(report.dump)["crash_info"]["type"]


def test_arming_again_and_again_leaks_nothing(home: Home) -> None:
    program = """
import lastwords, os
def again():
    lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
    lastwords.uninstall()
again()
before = len(os.listdir("/proc/self/fd")), len(open("/proc/self/maps").readlines())
for _ in range(20): again()
after = len(os.listdir("/proc/self/fd")), len(open("/proc/self/maps").readlines())
assert after[0] == before[0], (before, after)
assert after[1] <= before[1] + 5, (before, after)
"""
    done = run_python(["-c", program], home, DUMPS=str(home.spool))
    assert done.returncode == 0, done.stderr


def test_a_host_with_a_limit_of_file_sizes_survives_install(home: Home) -> None:
    program = """
import lastwords, os, resource, signal, warnings
warnings.simplefilter("ignore")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
done = lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])
assert not done.is_native_armed
print([problem.message for problem in done.problems])
"""
    done = run_python(["-c", program], home, DUMPS=str(home.spool))
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
