"""A server that is down, answers 500, hangs or resets: the report stays, the message says why."""

from __future__ import annotations

import json
import time

import pytest
from dying import Death, Home, run_python
from servers import BEHAVIOURS, bad_server

pytestmark = pytest.mark.integration

FAULTS = ["down", *BEHAVIOURS]
SHORT = {"LASTWORDS_CONNECT_TIMEOUT_S": "1", "LASTWORDS_IDLE_TIMEOUT_S": "1"}


def leave_report(home: Home, url: str) -> None:
    arguments = ["-m", "victim", "--dump-dir", home.spool, "--url", url, "--consent", "always"]
    assert run_python([*arguments, "--fail", "python-exception"], home).returncode == 1


def send(home: Home, *options: str) -> Death:
    arguments = ["-m", "lastwords", "send", "--dump-dir", home.spool, *options]
    return run_python(arguments, home, **SHORT)


@pytest.mark.parametrize("behaviour", FAULTS)
def test_a_failed_delivery_leaves_the_report_pending_with_its_count(
    behaviour: str, home: Home
) -> None:
    with bad_server(behaviour) as url:
        leave_report(home, url)
        before = home.report()
        told = send(home, "--yes")
    assert told.returncode == 1, told.stdout
    assert url.partition("/submit")[0].removeprefix("http://") in told.stdout + told.stderr
    after = home.report()
    assert after.document == before.document
    delivery = json.loads((after.folder / "delivery.json").read_text())
    assert delivery["attempts"] == 1
    assert delivery["last_error"]
    assert delivery["next_attempt"]


@pytest.mark.parametrize("behaviour", FAULTS)
def test_the_next_start_of_the_application_is_not_held_up(behaviour: str, home: Home) -> None:
    with bad_server(behaviour) as url:
        leave_report(home, url)
        start = time.monotonic()
        again = run_python(
            ["-m", "victim", "--dump-dir", home.spool, "--url", url, "--consent", "always"], home
        )
        taken_s = time.monotonic() - start
    assert (again.returncode, again.stderr) == (0, "")
    assert taken_s < 10
    assert len(home.reports()) == 1


def test_nothing_is_sent_without_consent(home: Home) -> None:
    with bad_server("answers 500") as url:
        leave_report(home, url)
        told = send(home)
    assert not (home.report().folder / "delivery.json").exists(), told.stdout + told.stderr
