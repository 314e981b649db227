"""An abort is reported with the C library's last words."""

from __future__ import annotations

import signal

import pytest
from dying import PROGRAMS, Home, analyze, run_python

pytestmark = pytest.mark.integration

WORDS = {
    "assert": "Assertion `index < size' failed.",
    "heap": "double free detected",
    "stack": "stack smashing detected",
}


def abort(home: Home, way: str) -> None:
    death = run_python([PROGRAMS / "die_aborting.py", home.spool, way], home)
    assert death.returncode == -signal.SIGABRT, death.stderr


@pytest.mark.parametrize("way", WORDS)
def test_the_report_holds_the_message(way: str, home: Home) -> None:
    abort(home, way)
    assert WORDS[way] in home.report().document["mechanism"]["abort_message"]


def test_an_assertion_is_taken_apart_in_the_dump(home: Home) -> None:
    abort(home, "assert")
    assertion = analyze(home.report().dump)["crash_info"]["assertion"]
    assert assertion == "index < size (void Grid::set(int), src/grid.cpp:42)"


def test_a_plain_abort_has_no_message(home: Home) -> None:
    abort(home, "plain")
    report = home.report()
    assert "abort_message" not in report.document["mechanism"]
    assert analyze(report.dump)["crash_info"]["assertion"] is None
