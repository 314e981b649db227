"""Details of Python in dumps: names, exceptions, tasks, variables on request, and no secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, analyze
from minidump_streams import open_dump
from targets import interpreters, lastwords, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

DETAILS = 0x4C570008
SECRET = b"hunter2-"


@pytest.fixture(params=[pytest.param(path, id=version) for version, path in interpreters()])
def process(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process of `programs/detailed.py`, for each interpreter."""
    process, pid = start([request.param, PROGRAMS / "detailed.py"])
    yield pid
    process.kill()
    process.communicate()


def dump(pid: int, folder: Path, *options: str) -> Path:
    done = lastwords("dump", *options, "--json", pid, f"{folder}/dump.dmp", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["soft_errors"] == []
    (written,) = told["dumps"]
    path = folder / "dump.dmp"
    assert written["file"] == str(path)
    return path


def thread_named(analysis: dict[str, Any], name: str) -> dict[str, Any]:
    named = [t for t in analysis["threads"] if (t["python"] or {}).get("name") == name]
    assert len(named) == 1
    return named[0]


def variables_of(thread: dict[str, Any], function: str) -> dict[str, dict[str, Any]]:
    frames = [frame for frame in thread["frames"] if frame["function"] == function]
    return {variable["name"]: variable for variable in frames[0]["python"].get("locals", ())}


def test_a_dump_tells_names_exceptions_and_tasks(process: int, tmp_path: Path) -> None:
    path = dump(process, tmp_path)
    assert SECRET not in path.read_bytes()
    analysis = analyze(path)
    python = thread_named(analysis, "sign in")["python"]
    assert python["handled_exception"]["type"] == "PermissionError"
    assert python["handled_exception"]["text"] == "[Errno 13] Permission denied: '/etc/shadow'"
    assert python["pending_exception"] is None
    server = thread_named(analysis, "server")
    tasks = {task["name"]: task for task in analysis["python"]["tasks"]}
    assert set(tasks) >= {"request 0", "request 1"}
    for number in range(2):
        task = tasks[f"request {number}"]
        names = [frame["name"] for frame in task["frames"]]
        assert (names, task["state"], task["is_current"]) == (["leaf", "waits"], "pending", False)
    (current,) = [task for task in tasks.values() if task["is_current"]]
    assert analysis["threads"][current["thread"]] == server
    assert [frame["name"] for frame in current["frames"]] == ["serve"]
    assert variables_of(thread_named(analysis, "sign in"), "sign_in") == {}


def test_variables_are_told_on_request_and_secrets_never(process: int, tmp_path: Path) -> None:
    path = dump(process, tmp_path, "--locals")
    assert SECRET not in path.read_bytes()
    variables = variables_of(thread_named(analyze(path), "sign in"), "sign_in")
    expected = {
        "user": ("argument", "'ann'", False),
        "password": ("argument", "[redacted]", True),
        "options": ("argument", "{'host': 'example.org', 'api_key': [redacted]}", True),
        "api_key": ("local", "[redacted]", True),
        "attempts": ("local", "[1, 2, 3]", False),
    }
    # Until 3.10 functions have one name.
    found = {name: (v["kind"], v["value"], v["is_redacted"]) for name, v in variables.items()}
    assert found == expected


def test_a_triage_dump_has_no_texts_of_the_program(process: int, tmp_path: Path) -> None:
    path = dump(process, tmp_path, "-mt", "--locals")
    details = open_dump(path).json(DETAILS)
    assert "locals" not in details
    handled = [thread["handled"] for thread in details["threads"] if "handled" in thread]
    assert [exception["type"] for exception in handled] == ["PermissionError"]
    assert all("text" not in exception for exception in handled)
    assert SECRET not in path.read_bytes()
