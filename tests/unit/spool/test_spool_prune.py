from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lastwords.spool.prune import lost_undelivered, prune
from lastwords.spool.spool import Spool
from lastwords.spool.writer import ReportWriter

DAY_S = 86_400


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"))


def add(spool: Spool, stage: str, size_bytes: int, age_days: float) -> str:
    writer = ReportWriter(spool.directory)
    writer.write_document("{}" + " " * (size_bytes - 2))
    writer.commit()
    if stage == "completed":
        spool.move(writer.report_id, "pending", "completed")
    path = Path(spool.path(stage, writer.report_id))
    moment = time.time() - age_days * DAY_S
    os.utime(path / "report.json", (moment, moment))
    os.utime(path, (moment, moment))
    return writer.report_id


def test_completed_reports_go_after_their_time(spool: Spool) -> None:
    old, young = add(spool, "completed", 10, 31), add(spool, "completed", 10, 29)
    waiting = add(spool, "pending", 10, 400)
    result = prune(spool, max_bytes=10_000, keep_days=30)
    assert spool.ids("completed") == [young]
    assert spool.ids("pending") == [waiting]
    assert (result.completed, result.undelivered, result.freed_bytes) == (1, 0, 10)
    assert old not in spool.ids("completed")


def test_when_full_the_oldest_completed_go_first_and_pending_last(spool: Spool) -> None:
    done = [add(spool, "completed", 1000, age) for age in (3, 2, 1)]
    waiting = [add(spool, "pending", 1000, age) for age in (9, 8)]
    prune(spool, max_bytes=4000, keep_days=30)
    assert spool.ids("completed") == done[1:]
    assert spool.ids("pending") == waiting
    assert lost_undelivered(spool) == 0


def test_undelivered_reports_that_are_removed_are_counted(spool: Spool) -> None:
    waiting = [add(spool, "pending", 1000, age) for age in (3, 2, 1)]
    first = prune(spool, max_bytes=2000, keep_days=30)
    assert first.undelivered == 1
    assert spool.ids("pending") == waiting[1:]
    prune(spool, max_bytes=0, keep_days=30)
    assert lost_undelivered(spool) == 3


def test_a_report_being_sent_is_not_removed(spool: Spool) -> None:
    report_id = add(spool, "pending", 1000, 1)
    with spool.claim("pending", report_id):
        result = prune(spool, max_bytes=0, keep_days=0)
    assert result.undelivered == 0
    assert spool.ids("pending") == [report_id]


def test_a_spool_within_its_limits_is_left_alone(spool: Spool) -> None:
    add(spool, "completed", 10, 1)
    result = prune(spool, max_bytes=1000, keep_days=30)
    assert (result.completed, result.undelivered, result.size_bytes) == (0, 0, 10)
