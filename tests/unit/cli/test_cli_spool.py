from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from lastwords.cli.spool import command
from lastwords.errors import LastwordsError
from lastwords.spool.spool import DeliveryState, Spool
from lastwords.spool.writer import ReportWriter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spool(home: Path) -> Spool:
    return Spool(str(home / "spool"))


def add(spool: Spool, **document: object) -> str:
    writer = ReportWriter(spool.directory)
    writer.write_document(json.dumps({"schema": 1, "product": "p", "version": "1", **document}))
    writer.commit()
    return writer.report_id


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run_in(spool: Spool, verb: str, *arguments: str) -> Result:
    return run(verb, *arguments, "--dump-dir", spool.directory)


def test_list_shows_state_and_what_happened(spool: Spool) -> None:
    signal = {"type": "signal", "signal": {"name": "SIGSEGV"}}
    native = add(spool, mechanism=signal, created="2026-01-01T00:00:00.000Z")
    python = add(spool, exception={"type": "KeyError"})
    spool.write_delivery("pending", python, DeliveryState(outcome="given_up"))
    spool.move(python, "pending", "completed")
    lines = run_in(spool, "list").stdout.splitlines()
    assert lines[0] == spool.directory
    assert lines[1].split() == [
        "pending", native, "2026-01-01T00:00:00.000Z", "p", "1:", "SIGSEGV,",
        str(spool.find(native).size_bytes), "B",
    ]  # fmt: skip
    assert lines[2].split()[:2] == ["given_up", python]
    assert "KeyError" in lines[2]


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ({"stack_overflow": {"stack_bytes": 1, "limit_bytes": 1}}, "SIGABRT: stack overflow,"),
        ({"abort_message": "double free\nsecond line"}, "SIGABRT: double free,"),
        ({"last_words": {"source": "rust_panic", "text": "x" * 90}}, f"SIGABRT: {'x' * 80}…,"),
        ({"cpp_exception": {"type": "St9exception", "what": "w", "frames": []}}, "SIGABRT: w,"),
        ({"last_words": None}, "SIGABRT,"),
    ],
)
def test_list_tells_what_the_process_said(
    spool: Spool, said: dict[str, object], title: str
) -> None:
    add(spool, mechanism={"type": "signal", "signal": {"name": "SIGABRT"}, **said})
    assert f"p 1: {title}" in run_in(spool, "list").stdout


def test_list_says_how_many_undelivered_reports_were_lost(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        add(spool, annotations={"filler": "x" * 600_000})
    monkeypatch.setenv("LASTWORDS_MAX_SPOOL_MB", "1")
    assert "removed 0 completed and 2 undelivered" in run_in(spool, "prune").stdout
    assert "2 undelivered reports were removed" in run_in(spool, "list").stdout
    assert json.loads(run_in(spool, "list", "--json").stdout)["pruned_undelivered"] == 2


def test_list_as_json_holds_the_whole_documents(spool: Spool) -> None:
    report_id = add(spool, annotations={"a": 1})
    [entry] = json.loads(run_in(spool, "list", "--json").stdout)["reports"]
    assert entry["report_id"] == report_id
    assert entry["state"] == "pending"
    assert entry["delivery"]["attempts"] == 0
    assert entry["report"]["annotations"] == {"a": 1}


def test_show_prints_all_that_would_be_sent(spool: Spool) -> None:
    frames = [{"file": "a.py", "line": 3, "qualname": "C.f"}]
    report_id = add(
        spool,
        url="http://h/",
        annotations={"scene": "town"},
        exception={"type": "KeyError", "message": "'x'", "thread_name": "T", "frames": frames},
        soft_errors=[{"code": "c", "where": "w", "message": "m"}],
    )
    spool.write_delivery("pending", report_id, DeliveryState(attempts=2, last_error="down"))
    text = run_in(spool, "show", report_id).stdout
    for expected in (
        report_id, "p 1", "http://h/", "scene = town", "KeyError: 'x' (thread T)",
        "a.py:3 C.f", "w: m (c)", "report.json", "2, last error: down",
    ):  # fmt: skip
        assert expected in text
    shown = json.loads(run_in(spool, "show", report_id, "--json").stdout)
    assert shown["delivery"]["last_error"] == "down"


def test_list_counts_the_failed_deliveries(spool: Spool) -> None:
    report_id = add(spool)
    assert run_in(spool, "list").stdout.endswith(" B\n")
    spool.write_delivery("pending", report_id, DeliveryState(attempts=1, last_error="down"))
    assert run_in(spool, "list").stdout.endswith(", 1 failed delivery\n")


def test_without_any_spool_the_list_is_empty(home: Path) -> None:
    listed = run("list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "--dump-dir" in listed.stderr
    assert json.loads(run("list", "--json").stdout)["reports"] == []
    with pytest.raises(LastwordsError) as caught:
        run("show", "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9")
    assert caught.value.code == "spool_report_not_found"


def test_what_an_application_wrote_does_not_reach_the_terminal_raw(spool: Spool) -> None:
    error = {"type": "E", "message": "one\ntwo \x1b[31mred"}
    report_id = add(
        spool, product="p\x1b[2J", annotations={"a": "x" * 900 + "\x1b[0m"}, exception=error
    )
    shown = run_in(spool, "show", report_id).stdout
    assert "\x1b" not in shown + run_in(spool, "list").stdout
    assert "x" * 900 in shown
    assert "exception  E: one " in shown
    assert "           two " in shown


def test_a_report_is_found_in_whatever_spool(home: Path) -> None:
    spools = [Spool(str(home / "state/lastwords" / name)) for name in ("a", "b", "c")]
    for spool in spools:
        report_id = add(spool)
        assert report_id in run("show", report_id).stdout


def test_delete_removes_one_report(spool: Spool) -> None:
    doomed, kept = add(spool), add(spool)
    assert json.loads(run_in(spool, "delete", doomed, "--json").stdout)["is_deleted"] is True
    assert spool.ids("pending") == [kept]
    with pytest.raises(LastwordsError) as caught:
        run_in(spool, "delete", doomed)
    assert caught.value.code == "spool_report_not_found"


def test_consent_is_shown_and_stored(home: Path) -> None:
    assert run("consent").stdout == "ask (nothing is stored)\n"
    assert run("consent", "always", "--product", "p").stdout.startswith("always (stored in ")
    assert run("consent").stdout == "ask (nothing is stored)\nalways for p\n"
    assert json.loads(run("consent", "--json").stdout)["products"] == {"p": "always"}
    run("consent", "never")
    shown = json.loads(run("consent", "--product", "p", "--json").stdout)
    assert (shown["consent"], shown["is_stored"]) == ("never", True)
    assert run("consent", "perhaps").exit_code == 2


@pytest.mark.parametrize("verb", [[], ["list"], ["show"], ["consent"], ["prune"], ["delete"]])
def test_help_has_an_example(verb: list[str]) -> None:
    assert "Example: lastwords spool" in run(*verb, "--help").stdout
