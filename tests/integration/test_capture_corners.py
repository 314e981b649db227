"""A crash is reported from every corner that the process got itself into."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, Death, Home, analyze, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def corner(home: Home, name: str, **settings: object) -> Death:
    settings = {"dump_dir": str(home.spool), **settings}
    death = run_python([PROGRAMS / "die_cornered.py", json.dumps(settings), name], home)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    return death


def functions(analysis: dict[str, Any]) -> list[str | None]:
    frames = analysis["crashing_thread"]["frames"]
    return [frame["function"] for frame in frames if frame["kind"] == "python"]


def dump_of(home: Home) -> Path:
    return home.report().dump


def test_a_forked_child_has_its_own_report_and_annotations(home: Home) -> None:
    corner(home, "forked-child")
    by_child, by_parent = sorted(home.reports(), key=lambda report: report.document["created"])
    assert by_child.document["annotations"] == {"who": "child"}
    assert by_parent.document["annotations"] == {"who": "parent"}
    assert by_child.document["process"]["pid"] != by_parent.document["process"]["pid"]
    assert analyze(by_child.dump)["pid"] == by_child.document["process"]["pid"]


def test_a_killed_monitor_is_replaced_at_the_crash(home: Home) -> None:
    corner(home, "no-monitor")
    assert functions(analyze(dump_of(home)))[:2] == ["string_at", "crash"]


def test_a_monitor_that_does_not_answer_costs_the_budget_and_no_more(home: Home) -> None:
    started = time.monotonic()
    death = corner(home, "stopped-monitor", budget_s=1)
    os.kill(death.facts["monitor"], signal.SIGKILL)  # nobody else would end what stands still
    assert time.monotonic() - started < 8
    assert "budget" in death.stderr
    assert home.reports() == []


def test_a_host_that_closes_all_descriptors_is_reported_and_its_files_untouched(home: Home) -> None:
    corner(home, "descriptors-closed")
    assert functions(analyze(dump_of(home)))[:2] == ["string_at", "crash"]
    assert (home.folder / "precious").read_bytes() == b""


def test_without_ptrace_memory_is_read_from_proc(home: Home) -> None:
    corner(home, "no-ptrace")
    report = home.report().document
    assert report["capture"] == {"threads": "none", "memory": "proc_mem"}
    assert [error["code"] for error in report["soft_errors"]] == ["thread_not_traced"]
    analysis = analyze(dump_of(home))
    assert functions(analysis)[:2] == ["string_at", "crash"]
    assert "thread_not_traced" in [error["code"] for error in analysis["soft_errors"]]


def test_without_any_permission_the_crashing_thread_serves_its_memory(home: Home) -> None:
    corner(home, "not-dumpable")
    report = home.report().document
    assert report["capture"] == {"threads": "none", "memory": "served"}
    analysis = analyze(dump_of(home))
    assert functions(analysis)[:2] == ["string_at", "crash"]
    frames = [frame["function"] for thread in analysis["threads"] for frame in thread["frames"]]
    assert frames.count("Thread._bootstrap") == 2, "the other Python threads are there too"
