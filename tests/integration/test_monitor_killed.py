"""The monitor is killed or frozen before, during and after a crash; disks fill, folders go away."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from disks import small_disk
from dying import Home, SpooledReport, analyze
from sweep import (
    BUDGET_S,
    Outcome,
    Trial,
    calls_made,
    carry_out,
    kill_left_behind,
    left_behind,
    problems,
)
from warm import End, Warm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

KILLS = 60
"""At calls chosen by chance among all of a crash, besides the first and the last ones."""
SEED = int(os.environ.get("LASTWORDS_TEST_SEED", random.randrange(2**32)))


def places(home: Home, faulty: Path) -> dict[str, list[int]]:
    """Phase → the calls, counted through, at which a monitor is to be ended."""
    by_chance = random.Random(SEED)
    found = {}
    for phase, counter in calls_made(home, faulty).items():
        count = sum(counter.values())
        ends = {1, 2, 3, count - 2, count - 1, count}
        found[phase] = sorted(ends | set(by_chance.sample(range(1, count), KILLS // 2)))
    return found


def trials(home: Home, faulty: Path, action: str, *how: str) -> list[Trial]:
    return [
        Trial(
            name=f"{phase} any {nth} {action}",
            order=" ".join([f"{action} {phase} -1 {nth} 1 0", *how]),
        )
        for phase, calls in places(home, faulty).items()
        for nth in calls
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Home:
    home = Home(folder=tmp_path / "recorded")
    home.folder.mkdir()
    return home


def reported(outcome: Outcome) -> list[SpooledReport]:
    found = [*outcome.home.reports(), *outcome.home.reports("new")]
    return [report for report in found if report.document["process"]["pid"] == outcome.end.pid]


@pytest.mark.timeout(300)
def test_a_monitor_killed_at_any_call_is_followed_by_another(
    recording: Home, tmp_path: Path, faulty_monitor: Path
) -> None:
    found = carry_out(trials(recording, faulty_monitor, "kill", "once"), tmp_path, faulty_monitor)
    wrong = problems(found) + left_behind(found)
    wrong += [f"{o.trial.name}: no report: {o.end.stderr!r}" for o in found if not reported(o)]
    assert not wrong, f"seed {SEED}\n" + "\n".join(wrong)
    assert sum(outcome.hits > 0 for outcome in found) > len(found) * 0.9


@pytest.mark.timeout(300)
def test_monitors_that_are_all_killed_are_told_of(
    recording: Home, tmp_path: Path, faulty_monitor: Path
) -> None:
    found = carry_out(trials(recording, faulty_monitor, "kill"), tmp_path, faulty_monitor)
    wrong = problems(found) + left_behind(found)
    assert not wrong, f"seed {SEED}\n" + "\n".join(wrong)


@pytest.mark.timeout(300)
def test_a_frozen_monitor_costs_the_budget_and_no_more(
    recording: Home, tmp_path: Path, faulty_monitor: Path
) -> None:
    all_of_them = trials(recording, faulty_monitor, "freeze")
    some = random.Random(SEED).sample(all_of_them, 16)
    found = carry_out(some, tmp_path, faulty_monitor)
    wrong = problems(found)
    kill_left_behind(found)  # a monitor that freezes after its answer is nobody's
    assert not wrong, f"seed {SEED}\n" + "\n".join(wrong)


SIZES = [0, 1, 511, 512, 1000, 4096, 5000, 8192, 12_288, 16_384, 20_000, 32_768, 50_000, 65_536]


@pytest.mark.parametrize("size", SIZES)
def test_any_limit_of_file_sizes_leaves_a_readable_report_or_a_reason(
    size: int, home: Home
) -> None:
    with Warm(home, budget_s=BUDGET_S) as warm:
        end = warm.die(threads=2, file_size=size)
    assert_report_or_reason(end, home)


def assert_report_or_reason(end: End, home: Home) -> None:
    assert os.WTERMSIG(end.status) == signal.SIGSEGV
    assert end.seconds < BUDGET_S + 3
    (line,) = end.stderr.splitlines()
    assert line.startswith("lastwords: ")
    reports = [r for r in home.reports() if r.document["process"]["pid"] == end.pid]
    for report in reports:
        if report.document.get("dump"):
            assert "SIGSEGV" in analyze(report.dump)["crash_info"]["type"]
        else:
            assert report.document["soft_errors"] or "incomplete" in line
    assert reports or "no report" in line or "stays in" in line


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, of the size in KiB that the test names."""
    with small_disk(tmp_path / "disk", request.param) as folder:
        yield folder


@pytest.mark.parametrize(
    "disk", [4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192], indirect=True, ids="{}k".format
)
def test_a_disk_of_any_size_holds_a_readable_report_or_a_reason(disk: Path, home: Home) -> None:
    with Warm(home, budget_s=BUDGET_S, dump_dir=str(disk / "spool")) as warm:
        end = warm.die(threads=2)
    assert_report_or_reason(end, Home(folder=disk))


@pytest.mark.parametrize("disk", [1024], indirect=True)
def test_a_disk_that_became_read_only_is_told_of(disk: Path, home: Home) -> None:
    with Warm(home, budget_s=BUDGET_S, dump_dir=str(disk / "spool")) as warm:
        warm.die()
        # Laid over the disk: files of the session are open for writing, which stays so.
        subprocess.run(["mount", "--bind", disk, disk], check=True, timeout=30)
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True, timeout=30)
        end = warm.die(threads=2)
    subprocess.run(["umount", "--lazy", disk], check=True, timeout=30)
    assert "no report" in end.stderr
    assert "Read-only file system" in end.stderr


def test_a_dump_directory_that_was_removed_is_made_again(home: Home) -> None:
    with Warm(home, budget_s=BUDGET_S) as warm:
        warm.die()
        shutil.rmtree(home.spool)
        end = warm.die(threads=2)
    assert_report_or_reason(end, home)
    assert home.report().dump.is_file()


def test_a_file_in_the_place_of_the_dump_directory_is_told_of(home: Home) -> None:
    with Warm(home, budget_s=BUDGET_S) as warm:
        warm.die()
        shutil.rmtree(home.spool)
        home.spool.write_text("in the way")
        end = warm.die(threads=2)
    assert "no report" in end.stderr
    assert str(home.spool) in end.stderr
    assert home.spool.read_text() == "in the way"
