"""Ends without a crash: what the monitor tells, what the next start tells, what nobody tells."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dying import DEADLINE_S, PROGRAMS, Death, Home, SpooledReport, run_python, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

PROGRAM = PROGRAMS / "end_somehow.py"


def arguments(home: Home, end: str, **settings: object) -> list[str | Path]:
    return [PROGRAM, json.dumps({"dump_dir": str(home.spool), **settings}), end]


def run(home: Home, end: str, **settings: object) -> Death:
    death = run_python(arguments(home, end, **settings), home)
    wait_until_gone(death.facts["monitor"])
    return death


def wait_until_gone(pid: int) -> None:
    """Wait for the end of somebody else's child."""

    def is_gone() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state in (b"Z", b"X")

    wait_until(is_gone, f"the end of process {pid}")


@contextlib.contextmanager
def running(home: Home, end: str, **settings: object) -> Iterator[tuple[subprocess.Popen, Any]]:
    """Yield a program that has installed itself and waits, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments(home, end, **settings))],
        cwd=home.folder,
        env=home.environment(),
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait(DEADLINE_S)
        process.stdout.close()


def sessions(home: Home) -> list[Path]:
    return sorted((home.spool / "sessions").glob("*"))


def end_of(report: SpooledReport) -> dict[str, Any]:
    mechanism = report.document["mechanism"]
    assert mechanism["type"] == "abnormal_end"
    end = mechanism["end"]
    assert isinstance(end, dict)
    assert end["evidence"]
    return end


def told(home: Home) -> tuple[str, str, int | None, int | None]:
    """Cause, certainty, exit code and signal of the only report."""
    end = end_of(home.report())
    return end["cause"], end["certainty"], end["exit_code"], end["signal"]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("os-exit-0", ("os_exit", "known", 0, None)),
        ("os-exit-3", ("os_exit", "known", 3, None)),
        ("os-exit-3-worker", ("os_exit", "known", 3, None)),
        ("worker-goes-on", ("os_exit", "known", 4, None)),
        ("quick-exit", ("os_exit", "known", 3, None)),
        ("c-exit", ("os_exit", "likely", 3, None)),
        ("usr1", ("signal", "known", None, int(signal.SIGUSR1))),
        ("default-handler", ("signal", "known", None, int(signal.SIGSEGV))),
    ],
)
def test_an_abnormal_end_is_told(home: Home, end: str, expected: tuple[object, ...]) -> None:
    run(home, end)
    assert told(home) == expected
    assert sessions(home) == []


def test_a_report_of_an_end_holds_what_the_application_said(home: Home) -> None:
    log = home.folder / "app.log"
    log.write_text("the last line")
    death = run(home, "os-exit-3", attachments=[str(log)], url="http://127.0.0.1:9/")
    report = home.report()
    document = report.document
    assert document["annotations"] == {"end": "os-exit-3"}
    assert document["process"]["pid"] == death.facts["pid"]
    assert document["process"]["start_time"] < document["created"]
    assert (document["product"], document["url"]) == ("ends", "http://127.0.0.1:9/")
    assert (report.folder / document["attachments"][0]["file"]).read_text() == "the last line"
    assert (document["dump"], document["dumps"], document["soft_errors"]) == (None, [], [])


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("nothing", 0),
        ("sys-exit", 3),
        ("interrupted", -signal.SIGINT),
        ("term", -signal.SIGTERM),
        ("int", -signal.SIGINT),
        ("hup", -signal.SIGHUP),
        ("pipe", -signal.SIGPIPE),
        ("atexit-leaves", 3),
        ("forked-child", 0),
        ("workers", 0),
        ("daemon", 0),
        ("daemon-in-c", 0),
        ("exec-false", 1),
        ("uninstalled", 3),
        ("not-wanted", 3),
        ("monitor-killed", 0),
        ("shutdown", -signal.SIGKILL),
    ],
)
def test_a_wanted_end_is_not_told(home: Home, end: str, status: int) -> None:
    death = run(home, end)
    assert death.returncode == status, death.stderr
    assert home.reports() == []
    assert sessions(home) == []
    assert list_spool(home) == []


@pytest.mark.parametrize(
    ("end", "mechanism"),
    [
        ("exception", "python_exception"),
        ("crash", "signal"),
        ("atexit-crashes", "signal"),
        ("monitor-killed-crash", "signal"),
    ],
)
def test_an_end_that_has_its_report_gets_no_other(home: Home, end: str, mechanism: str) -> None:
    run(home, end)
    assert home.report().document["mechanism"]["type"] == mechanism
    assert [report["mechanism"] for report in list_spool(home)] == [mechanism]
    assert sessions(home) == []


def test_a_kill_by_another_process_is_told(home: Home) -> None:
    with running(home, "pause") as (process, facts):
        process.kill()
        process.wait(DEADLINE_S)
        wait_until_gone(facts["monitor"])
    assert told(home) == ("sigkill", "known", None, 9)
    assert home.report().document["mechanism"]["signal"] == {"number": 9, "name": "SIGKILL"}


def test_a_kill_is_told_before_its_parent_has_asked_for_it(home: Home) -> None:
    with running(home, "pause") as (process, _):
        process.kill()
        assert told(home) == ("sigkill", "known", None, 9)  # the process is still a zombie
        assert process.poll() == -signal.SIGKILL


def test_a_host_that_closed_its_descriptors_is_watched_on(home: Home) -> None:
    with running(home, "closed") as (process, facts):
        wait_until((home.folder / "closed").exists, "the closing of descriptors")
        process.kill()
        process.wait(DEADLINE_S)
        wait_until_gone(facts["monitor"])
    assert told(home) == ("sigkill", "known", None, 9)


def test_another_program_in_the_same_process_is_not_watched(home: Home) -> None:
    with running(home, "exec") as (process, facts):
        wait_until_gone(facts["monitor"])
        assert process.poll() is None, "the process goes on as another program"
        process.kill()
        process.wait(DEADLINE_S)
    assert (home.reports(), sessions(home)) == ([], [])


def test_two_hundred_processes_at_once_are_all_told(home: Home) -> None:
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(running(home, "pause")) for _ in range(200)]
        assert len(sessions(home)) == 200
        for process, _ in started:
            process.kill()
        for process, facts in started:
            process.wait(DEADLINE_S)
            wait_until_gone(facts["monitor"])
    reports = home.reports()
    assert len(reports) == 200
    assert {report.document["process"]["pid"] for report in reports} == {
        facts["pid"] for _, facts in started
    }
    assert {end_of(report)["cause"] for report in reports} == {"sigkill"}
    assert sessions(home) == []


MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory cgroup (version 1) with a limit of 96 MB and no swap."""
    group = MEMORY_GROUPS / f"lastwords-{uuid.uuid4()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("96M")
    except OSError as error:
        pytest.skip(f"no memory cgroup of version 1 can be made here: {error}")
    with contextlib.suppress(OSError):
        (group / "memory.memsw.limit_in_bytes").write_text("96M")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), "an empty cgroup")
    group.rmdir()


def run_in(group: Path, home: Home, end: str, *wrapper: str) -> subprocess.CompletedProcess[str]:
    line = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
    command = [sys.executable, *map(str, arguments(home, end))]
    return subprocess.run(
        ["sh", "-c", line, "sh", str(group), *wrapper, *command],
        env=home.environment(),
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_out_of_memory_killer_is_named(home: Home, memory_group: Path) -> None:
    done = run_in(memory_group, home, "eat")
    assert done.returncode == -signal.SIGKILL, done.stderr
    cause, certainty, _, number = told(home)
    assert (cause, number) == ("oom_kill", 9)
    evidence = end_of(home.report())["evidence"]
    if os.access("/dev/kmsg", os.R_OK):
        assert certainty == "known"
        pid = home.report().document["process"]["pid"]
        assert f"Killed process {pid} (" in evidence[0]
    assert "of its limit of 100663296" in evidence[-1]


def test_without_the_kernels_log_the_count_of_the_group_speaks(
    home: Home, memory_group: Path
) -> None:
    # In a pid namespace of its own the log's process ids are another's: it is not asked.
    if subprocess.run(["unshare", "-pf", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid namespace can be made here")
    # The namespace ends with its first process, which therefore waits for the monitor's report.
    waiting = '"$@"; for i in $(seq 300); do ls "$0"/pending/* && exit; sleep 0.1; done'
    first = ("unshare", "-pf", "--mount-proc", "sh", "-c", waiting, str(home.spool))
    run_in(memory_group, home, "eat", *first)
    assert told(home) == ("oom_kill", "likely", None, 9)
    assert "rose from 0 to 1" in " ".join(end_of(home.report())["evidence"])


def list_spool(home: Home) -> list[dict[str, Any]]:
    """What `lastwords spool list` shows, which also tells of those that ended unseen."""
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "spool", "list", "--json", "--dump-dir", home.spool],
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        {"id": one["report_id"], "mechanism": one["report"]["mechanism"]["type"]}
        for one in json.loads(done.stdout)["reports"]
    ]


def test_process_and_monitor_killed_together_are_told_by_the_next_start(home: Home) -> None:
    death = run(home, "killed-with-monitor")
    assert home.reports() == []
    assert len(sessions(home)) == 1
    following = run(home, "pause-for-housekeeping")
    assert following.returncode == 0, following.stderr
    assert told(home) == ("killed_with_monitor", "likely", None, None)
    report = home.report()
    assert report.document["process"]["pid"] == death.facts["pid"]
    assert [problem["code"] for problem in report.document["soft_errors"]] == ["annotations_lost"]
    assert list_spool(home) == [{"id": report.folder.name, "mechanism": "abnormal_end"}], "once"
    assert sessions(home) == []


def test_process_and_monitor_killed_together_are_told_by_the_command_line(home: Home) -> None:
    run(home, "killed-with-monitor")
    [session] = sessions(home)
    assert list_spool(home) == [{"id": session.stem, "mechanism": "abnormal_end"}]
    assert list_spool(home) == [{"id": session.stem, "mechanism": "abnormal_end"}], "once"


def test_a_container_whose_first_process_ends_is_told_by_the_next_start(home: Home) -> None:
    if subprocess.run(["unshare", "-pf", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid namespace can be made here")
    for end, expected in (("nothing", []), ("os-exit-3", ["killed_with_monitor"])):
        subprocess.run(
            ["unshare", "-pf", "--mount-proc", sys.executable, *map(str, arguments(home, end))],
            env=home.environment(),
            cwd=home.folder,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        list_spool(home)
        assert [end_of(report)["cause"] for report in home.reports()] == expected


def test_living_processes_are_never_told(home: Home) -> None:
    with running(home, "pause") as (process, facts):
        assert list_spool(home) == []
        os.kill(facts["monitor"], signal.SIGKILL)
        wait_until_gone(facts["monitor"])
        assert list_spool(home) == [], "it lives on without its monitor"
        assert len(sessions(home)) == 1
        process.kill()
        process.wait(DEADLINE_S)
    assert [report["mechanism"] for report in list_spool(home)] == ["abnormal_end"]


def test_a_removed_spool_makes_no_trouble(home: Home) -> None:
    with running(home, "pause") as (process, facts):
        home.spool.rename(home.folder / "elsewhere")
        process.kill()
        process.wait(DEADLINE_S)
        wait_until_gone(facts["monitor"])
    assert told(home) == ("sigkill", "known", None, 9), "the spool was made anew"


def test_a_full_disk_leaves_the_telling_to_the_next_start(home: Home) -> None:
    home.spool.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(home.spool)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        with running(home, "pause") as (process, facts):
            with contextlib.suppress(OSError), (home.spool / "filler").open("wb") as filler:
                while True:
                    filler.write(bytes(4096))
                    filler.flush()
            process.kill()
            process.wait(DEADLINE_S)
            wait_until_gone(facts["monitor"])
        assert home.reports() == []
        assert list((home.spool / "new").iterdir()) == []
        (home.spool / "filler").unlink()
        assert [report["mechanism"] for report in list_spool(home)] == ["abnormal_end"]
    finally:
        subprocess.run(["umount", str(home.spool)], check=True)
