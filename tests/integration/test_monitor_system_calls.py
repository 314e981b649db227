"""Every system call that the monitor makes fails, is interrupted, answers short, comes late.

A report with soft errors must come of it, or one line that says why there is none; never a hang,
and never another end of the host. `LASTWORDS_FULL_SWEEP=1` takes every single call in turn, not one
of each position.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dying import Home
from sweep import Outcome, calls_made, carry_out, kill_left_behind, left_behind, problems, trials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

IS_FULL = os.environ.get("LASTWORDS_FULL_SWEEP") == "1"


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, faulty_monitor: Path
) -> Iterator[list[Outcome]]:
    folder = tmp_path_factory.mktemp("sweep")
    home = Home(folder=folder / "recorded")
    home.folder.mkdir()
    made = calls_made(home, faulty_monitor)
    found = carry_out(trials(made, is_full=IS_FULL), folder, faulty_monitor)
    yield found
    kill_left_behind(found)


@pytest.mark.timeout(24 * 3600 if IS_FULL else 600)
def test_every_call_that_goes_wrong_leaves_a_report_or_a_reason(outcomes: list[Outcome]) -> None:
    wrong = problems(outcomes)
    print(
        f"\n{len(outcomes)} crashes, {sum(outcome.hits for outcome in outcomes)} calls went wrong"
    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(600)
def test_no_monitor_outlives_its_process(outcomes: list[Outcome]) -> None:
    left = left_behind(outcomes)
    assert not left, "\n".join(left)


@pytest.mark.timeout(600)
def test_the_orders_were_carried_out(outcomes: list[Outcome]) -> None:
    """What comes late in a crash may not come at all when something before went wrong."""
    missed = [outcome.trial.name for outcome in outcomes if outcome.hits == 0]
    assert len(outcomes) > 500
    assert len(missed) < len(outcomes) // 10, "\n".join(missed)
