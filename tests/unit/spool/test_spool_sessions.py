from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lastwords.spool.session_ends import Machine
from lastwords.spool.session_files import has_dead_sessions, new_session_path
from lastwords.spool.sessions import MAX_REPORTS, recover_sessions
from lastwords.spool.spool import Spool

HERE = Machine(boot_id="this boot", pid_namespace=7, host="me")
PROCESS = {"pid": 2**22 + 1, "start_time": "2026-11-20T18:00:00.000Z"}
DEAD = {
    "schema": 1, "pid": 2**22 + 1, "start_ticks": 5, "pid_namespace": 7, "boot_id": "this boot",
    "host": "me", "is_locked": True, "is_lock_shared": False, "asked_to_end": None,
    "started": "2026-11-20T18:00:00.000Z",
    "report": {"product": "p", "version": "1", "process": PROCESS},
}  # fmt: skip


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"))


def leave(spool: Spool, **changes: object) -> Path:
    path = Path(new_session_path(spool.directory))
    path.write_text(json.dumps(DEAD | changes))
    return path


def own_start_ticks() -> int:
    return int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])


def cause(spool: Spool, report_id: str) -> str | None:
    mechanism = spool.read("pending", report_id).report.mechanism
    assert mechanism is not None
    assert mechanism.type == "abnormal_end"
    assert mechanism.end is not None
    assert mechanism.end.evidence
    return mechanism.end.cause


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "killed_with_monitor"),
        ({"pid": os.getpid(), "start_ticks": 1}, "killed_with_monitor"),
        ({"pid_namespace": 8}, "killed_with_monitor"),
        ({"boot_id": "another boot"}, "power_loss"),
        ({"boot_id": "another boot", "host": "renamed"}, "power_loss"),
        ({"boot_id": "another boot", "is_lock_shared": True}, "power_loss"),
    ],
)
def test_a_dead_session_is_told_once(
    spool: Spool, changes: dict[str, object], expected: str
) -> None:
    path = leave(spool, **changes)
    assert has_dead_sessions(spool.directory)
    assert recover_sessions(spool, machine=HERE) == [path.stem]
    assert cause(spool, path.stem) == expected
    assert not path.exists()
    assert recover_sessions(spool, machine=HERE) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": os.getpid(), "start_ticks": own_start_ticks()},
        {"pid_namespace": 8, "is_locked": False},
        {"boot_id": "another boot", "is_lock_shared": True, "host": "another"},
        {"is_lock_shared": True, "host": "another"},
        {"boot_id": None},
    ],
)
def test_what_may_be_alive_is_left_alone(spool: Spool, changes: dict[str, object]) -> None:
    path = leave(spool, **changes)
    assert recover_sessions(spool, machine=HERE) == []
    assert path.exists()


def test_a_locked_session_is_alive(spool: Spool) -> None:
    path = leave(spool)
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert not has_dead_sessions(spool.directory)
        assert recover_sessions(spool, machine=HERE) == []
    assert recover_sessions(spool, machine=HERE) == [path.stem]


def test_an_unknown_machine_judges_nothing(spool: Spool) -> None:
    leave(spool)
    unknown = Machine(boot_id=None, pid_namespace=None, host=None)
    assert recover_sessions(spool, machine=unknown) == []
    assert recover_sessions(spool, machine=replace(HERE, pid_namespace=None)) != []


def test_a_shutdown_is_no_abnormal_end(spool: Spool) -> None:
    path = leave(spool, boot_id="another boot", asked_to_end="2026-11-20T19:00:00.000Z")
    assert recover_sessions(spool, machine=HERE) == []
    assert not path.exists()


@pytest.mark.parametrize("state", ["new", "pending", "completed"])
def test_a_process_with_a_crash_report_is_not_told_again(spool: Spool, state: str) -> None:
    path = leave(spool)
    folder = Path(spool.path(state, "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"))
    folder.mkdir()
    document = {"mechanism": {"type": "signal"}, "process": PROCESS}
    (folder / "report.json").write_text(json.dumps(document))
    assert recover_sessions(spool, machine=HERE) == []
    assert not path.exists()


def test_a_session_that_was_just_begun_is_left_alone(spool: Spool) -> None:
    path = Path(new_session_path(spool.directory))
    path.touch()
    assert not has_dead_sessions(spool.directory)
    assert recover_sessions(spool, machine=HERE) == []
    assert path.exists()
    assert recover_sessions(spool, machine=HERE, now=time.time() + 120) == []
    assert not path.exists(), "its monitor died before it could say anything"


def test_foreign_files_are_left_and_damaged_ones_removed(spool: Spool) -> None:
    damaged = Path(new_session_path(spool.directory))
    damaged.write_text("no JSON")
    foreign = damaged.with_name("notes.json")
    foreign.write_text("{}")
    assert recover_sessions(spool, machine=HERE) == []
    assert (damaged.exists(), foreign.exists()) == (False, True)


def test_a_power_loss_with_many_processes_writes_few_reports(spool: Spool) -> None:
    for index in range(MAX_REPORTS + 30):
        leave(spool, boot_id="another boot", started=f"2026-11-20T18:00:{index:02}.000Z")
    told = recover_sessions(spool, machine=HERE)
    assert len(told) == MAX_REPORTS
    assert not list(Path(spool.directory, "sessions").iterdir())
    mechanism = spool.read("pending", told[0]).report.mechanism
    assert mechanism is not None
    assert mechanism.end is not None
    assert "30 more processes" in mechanism.end.evidence[-1]


def test_wrong_types_are_no_trouble(spool: Spool) -> None:
    path = leave(spool, pid="x", start_ticks=[], report=7, started={}, boot_id="another boot")
    assert recover_sessions(spool, machine=HERE) == [path.stem]
