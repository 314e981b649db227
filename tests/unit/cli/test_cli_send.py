from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lastwords.spool.spool import DeliveryState, Spool
from lastwords.spool.writer import ReportWriter
from lastwords.upload.consent import read_consent, store_consent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def add(spool: Spool, **document: object) -> str:
    writer = ReportWriter(spool.directory)
    writer.write_document(json.dumps({"schema": 1, "product": "p", **document}))
    writer.commit()
    return writer.report_id


@pytest.fixture
def spool(home: Path) -> Spool:
    return Spool(str(home / "spool"))


def lastwords(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lastwords", *arguments],
        check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def send(spool: Spool, *arguments: str) -> subprocess.CompletedProcess[str]:
    return lastwords("send", "--dump-dir", spool.directory, *arguments)


def on_a_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal and type an answer."""
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "lastwords", *arguments],
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    has_answered = False
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # EIO: the other side has ended
            break
        if not data:
            break
        shown += data
        if b"ne[v]er" in shown and not has_answered:
            os.write(leader, answer.encode() + b"\n")
            has_answered = True
    os.close(leader)
    return running.wait(60), shown.decode()


def test_without_consent_nothing_is_sent_and_it_is_said(spool: Spool, serve: Callable) -> None:
    server = serve("answer 200 id")
    report_id = add(spool, url=server.url)
    ended = send(spool)
    assert ended.returncode == 1
    assert f"{report_id}  not sent" in ended.stdout
    assert "nobody can be asked" in ended.stdout
    assert "lastwords send --yes" in ended.stderr
    assert server.requests == []
    assert spool.ids("pending") == [report_id]


def test_yes_sends_once_and_stores_nothing(spool: Spool, serve: Callable, home: Path) -> None:
    server = serve("answer 200 CrashID=bp-7")
    report_id = add(spool, url=server.url)
    ended = send(spool, "--yes")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{report_id}  delivered as bp-7\n"
    assert not (home / "config").exists()


@pytest.mark.parametrize(
    ("answer", "is_sent", "stored"),
    [("y", True, None), ("A", True, "always"), ("n", False, None), ("v", False, "never")],
)
def test_on_a_terminal_it_shows_what_goes_where_and_asks(
    spool: Spool, serve: Callable, answer: str, is_sent: bool, stored: str | None
) -> None:
    server = serve("answer 200 id")
    report_id = add(spool, url=server.url, exception={"type": "KeyError"})
    status, shown = on_a_terminal(["send", "--dump-dir", spool.directory], answer)
    assert status == (0 if is_sent else 1)
    assert f"would be sent to {server.url}" in shown
    assert report_id in shown
    assert "KeyError" in shown
    assert "report.json" in shown
    assert len(server.requests) == is_sent
    assert read_consent("p") == stored


def test_a_stored_decision_is_not_asked_for_again(spool: Spool, serve: Callable) -> None:
    server = serve("answer 200 id")
    add(spool, url=server.url)
    store_consent("always", "p")
    assert send(spool).returncode == 0
    assert len(server.requests) == 1


def test_the_given_address_beats_the_reports_own(
    spool: Spool, serve: Callable, unused_url: str
) -> None:
    server = serve("answer 200 id")
    add(spool, url=unused_url)
    assert send(spool, "--yes", "--url", server.url).returncode == 0
    assert len(server.requests) == 1


def test_a_report_without_an_address_says_what_to_type(spool: Spool) -> None:
    add(spool)
    ended = send(spool, "--yes")
    assert ended.returncode == 1
    assert "--url URL" in ended.stderr


def test_json_holds_the_outcome_of_every_report(spool: Spool, serve: Callable) -> None:
    server = serve("answer 500 sorry")
    report_id = add(spool, url=server.url)
    ended = send(spool, "--yes", "--json")
    assert ended.returncode == 1
    [outcome] = json.loads(ended.stdout)["reports"]
    assert outcome["report_id"] == report_id
    assert outcome["outcome"] == "failed"
    assert "500" in outcome["reason"]
    assert outcome["url"] == server.url


def test_a_report_that_was_given_up_can_be_sent_by_its_id(spool: Spool, serve: Callable) -> None:
    server = serve("answer 200 id")
    wanted, other = add(spool, url=server.url), add(spool, url=server.url)
    for report_id in (wanted, other):
        state = DeliveryState(attempts=10, outcome="given_up")
        spool.write_delivery("pending", report_id, state)
        spool.move(report_id, "pending", "completed")
    assert send(spool, "--yes", wanted).returncode == 0
    assert spool.find(wanted).delivery.outcome == "delivered"
    assert spool.find(other).delivery.outcome == "given_up"


def test_nothing_pending_is_no_failure(spool: Spool) -> None:
    ended = send(spool)
    assert (ended.returncode, ended.stdout) == (0, "no report is pending\n")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--url", "gopher://h"], 2, "url"),
        (["--dump-dir", "/nonexistent"], 1, "not a spool directory"),
        (["../../etc"], 1, "not a report id"),
        (["0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"], 1, "lastwords spool list"),
        (["--frobnicate"], 2, "--frobnicate"),
    ],
)
def test_what_is_wrong_is_said_with_the_right_status(
    spool: Spool, arguments: list[str], status: int, told: str
) -> None:
    ended = send(spool, *arguments)
    assert ended.returncode == status
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_directory_all_spools_of_the_user_are_sent(home: Path, serve: Callable) -> None:
    server = serve("answer 200 id")
    for product in ("one", "two"):
        add(Spool(str(home / "state/lastwords" / product)), product=product, url=server.url)
    assert lastwords("send", "--yes").returncode == 0
    assert len(server.requests) == 2


def test_without_any_spool_nothing_is_pending_and_it_is_said(home: Path) -> None:
    ended = lastwords("send")
    assert (ended.returncode, ended.stdout) == (0, "no report is pending\n")
    assert "--dump-dir" in ended.stderr
    assert json.loads(lastwords("send", "--json").stdout) == {"reports": []}
    assert lastwords("send", "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9").returncode == 1


def test_words_of_a_server_do_not_reach_the_terminal_raw(spool: Spool, serve: Callable) -> None:
    add(spool, url=serve("answer 500 a\x07b").url)
    ended = send(spool, "--yes")
    assert "answered 500" in ended.stdout
    assert "\x07" not in ended.stdout
