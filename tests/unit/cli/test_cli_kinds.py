"""ProcDump's words on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from lastwords.cli.kinds import kind_options, make_plan, monitor_path
from lastwords.cli.run import command as run_command
from lastwords.errors import DependencyError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from lastwords.monitor.plan import MonitorPlan


def invoke(*words: str) -> tuple[Result, list[MonitorPlan]]:
    found: list[MonitorPlan] = []

    @click.command()
    @kind_options
    def verb() -> None:
        found.append(make_plan(None, is_overwriting=False))

    return CliRunner().invoke(verb, words), found


def plan_of(*words: str) -> MonitorPlan:
    result, found = invoke(*words)
    assert result.exit_code == 0, result.output
    return found[0]


def test_each_word_is_a_kind(tmp_path: Path) -> None:
    (library := tmp_path / "x.so").touch()
    words = ["-mm", "-mt", "-mp", "-ma", "-mk", "-mc", "0x1826", "-md", str(library)]
    assert plan_of(*words).kinds == (
        "mini", "triage", "miniplus", "full", "kernel", "custom:0x1826", f"callback:{library}",
    )  # fmt: skip


@pytest.mark.parametrize("words", [("-md", "/no/such.so"), ("--kind", "callback:/no/such.so")])
def test_a_library_that_is_not_there_is_told_before_anything_is_stopped(
    words: tuple[str, ...],
) -> None:
    result, found = invoke(*words)
    assert (result.exit_code, found) == (2, [])
    assert "there is no library '/no/such.so'" in result.output


def test_kinds_in_words_and_doubles() -> None:
    assert plan_of("--kind", "full", "-ma", "--kind", "custom:WithCodeSegs").kinds == (
        "full",
        "custom:WithCodeSegs",
    )
    assert plan_of().kinds == ()


def test_limits_have_their_defaults_and_can_be_set() -> None:
    plan = plan_of()
    assert (plan.compress, plan.max_dump_mb, plan.min_free_mb) == (False, 0, 256)
    plan = plan_of("--compress", "--max-dump-mb", "1.5", "--min-free-mb", "0")
    assert (plan.compress, plan.max_dump_mb, plan.min_free_mb) == (True, 1.5, 0)


def test_variables_are_asked_for_by_name() -> None:
    assert plan_of().python_locals is False
    assert json.loads(plan_of("--locals").to_json())["python_locals"] is True


def test_a_missing_monitor_is_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTWORDS_MONITOR", "/no/such/monitor")
    with pytest.raises(DependencyError) as caught:
        monitor_path()
    assert (caught.value.code, caught.value.exit_status) == ("capture_monitor_missing", 4)


def test_run_takes_the_commands_own_options_for_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: called.append(arguments))
    for words in (["-q", "--", "app", "-ma", "--", "x"], ["-q", "app", "-ma", "--", "x"]):
        assert CliRunner().invoke(run_command, words).exit_code == 0
    assert called[0][:2] == ["lastwords-monitor", "run"]
    assert called[0][3:] == ["--", "app", "-ma", "--", "x"] == called[1][3:]
    assert '"is_quiet": true' in called[0][2]
    assert CliRunner().invoke(run_command, ["-q"]).exit_code == 2
