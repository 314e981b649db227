from __future__ import annotations

import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastwords.errors import SpoolError
from lastwords.spool.spool import DeliveryState, Spool
from lastwords.spool.writer import ReportWriter


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"))


def add(spool: Spool, document: str = '{"schema":1,"product":"p"}') -> str:
    writer = ReportWriter(spool.directory)
    writer.write_document(document)
    writer.commit()
    return writer.report_id


def test_reports_are_listed_oldest_first(spool: Spool) -> None:
    ids = [add(spool) for _ in range(3)]
    for age, report_id in enumerate(ids):
        file = Path(spool.path("pending", report_id), "report.json")
        os.utime(file, (1000 - age, 1000 - age))
    assert [item.report_id for item in spool.reports("pending")] == ids[::-1]


def test_foreign_names_and_links_in_a_stage_are_not_reports(spool: Spool, tmp_path: Path) -> None:
    report_id = add(spool)
    pending = Path(spool.directory, "pending")
    (pending / "notes.txt").write_text("x")
    (pending / "some-directory").mkdir()
    (pending / "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9").symlink_to(tmp_path)
    assert spool.ids("pending") == [report_id]


@pytest.mark.parametrize("name", ["..", "../../etc", "", "x" * 5000, "a/b"])
def test_a_hostile_id_never_becomes_a_path(spool: Spool, name: str) -> None:
    for call in (spool.find, lambda n: spool.read("pending", n), lambda n: spool.delete("new", n)):
        with pytest.raises(SpoolError) as caught:
            call(name)
        assert caught.value.code == "spool_bad_report_id"


def test_a_report_that_is_not_there_is_said(spool: Spool) -> None:
    with pytest.raises(SpoolError) as caught:
        spool.find("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9")
    assert caught.value.code == "spool_report_not_found"


def test_a_directory_that_is_no_spool_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpoolError) as caught:
        Spool(str(tmp_path), make=False)
    assert caught.value.code == "spool_not_usable"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("document", ["", "{", "[]", '"x"', "\x00"])
def test_a_damaged_document_is_a_soft_error(spool: Spool, document: str) -> None:
    report_id = add(spool, document)
    report = spool.read("pending", report_id).report
    assert [problem.code for problem in report.soft_errors] == ["report_not_readable"]


def test_only_own_regular_files_are_sent(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")
    report_id = add(spool, '{"attachments":[{"name":"x","file":"../../../private"}]}')
    path = Path(spool.path("pending", report_id))
    (path / "attachments").mkdir()
    (path / "attachments" / "a.log").write_text("log")
    (path / "attachments" / "link").symlink_to(tmp_path / "private")
    (path / "dump.dmp").write_bytes(b"MDMP")
    files = spool.read("pending", report_id).files()
    assert [name for name, _, _ in files] == ["report", "attachment_a.log", "upload_file_minidump"]


def test_the_delivery_state_is_kept(spool: Spool) -> None:
    report_id = add(spool)
    state = DeliveryState(attempts=3, last_error="down", next_attempt="2026-01-01T00:00:00.000Z")
    spool.write_delivery("pending", report_id, state)
    assert spool.read("pending", report_id).delivery == state


@pytest.mark.parametrize(
    "text", ["", "[]", '{"attempts":"many","server_id":3}', '{"attempts":true}']
)
def test_a_damaged_delivery_state_counts_as_fresh(spool: Spool, text: str) -> None:
    report_id = add(spool)
    Path(spool.path("pending", report_id), "delivery.json").write_text(text)
    assert spool.read("pending", report_id).delivery == DeliveryState()


def _hold(directory: str, report_id: str, held: object, let_go: object) -> None:
    with Spool(directory).claim("pending", report_id):
        held.set()
        let_go.wait(60)


def test_a_report_claimed_by_another_process_is_busy_until_that_ends(spool: Spool) -> None:
    report_id = add(spool)
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(spool.directory, report_id, held, let_go))
    holder.start()
    assert held.wait(60)
    with pytest.raises(SpoolError) as caught, spool.claim("pending", report_id):
        pass
    assert caught.value.code == "spool_report_busy"
    holder.kill()
    holder.join(60)
    with spool.claim("pending", report_id):
        pass


def test_a_report_that_moved_between_opening_and_locking_is_not_claimed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_id = add(spool)
    real = fcntl.flock

    def moved_meanwhile(fd: int, operation: int) -> None:
        spool.move(report_id, "pending", "completed")
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", moved_meanwhile)
    with pytest.raises(SpoolError) as caught, spool.claim("pending", report_id):
        pytest.fail("claimed a report that is gone")
    assert caught.value.code == "spool_report_not_found"


def test_a_deleted_report_is_gone(spool: Spool) -> None:
    report_id = add(spool)
    spool.delete("pending", report_id)
    assert spool.reports() == []
    assert list(Path(spool.directory, "new").iterdir()) == []


def test_a_report_being_sent_is_not_deleted(spool: Spool) -> None:
    report_id = add(spool)
    with spool.claim("pending", report_id), pytest.raises(SpoolError) as caught:
        spool.delete("pending", report_id)
    assert caught.value.code == "spool_report_busy"
    assert spool.ids("pending") == [report_id]


def test_a_reopened_report_is_pending_and_fresh(spool: Spool) -> None:
    report_id = add(spool)
    spool.write_delivery("pending", report_id, DeliveryState(attempts=10, outcome="given_up"))
    spool.move(report_id, "pending", "completed")
    spool.reopen(report_id)
    reopened = spool.find(report_id)
    assert reopened.state == "pending"
    assert (reopened.delivery.attempts, reopened.delivery.outcome) == (0, None)


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["complete", "reopen", "delete", "claim"])),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(MOVES)
def test_whatever_is_done_a_report_is_in_one_stage_or_deleted(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, str]]
) -> None:
    spool = Spool(str(tmp_path_factory.mktemp("spool")))
    ids = [add(spool) for _ in range(3)]
    state = dict.fromkeys(ids, "pending")
    for index, move in moves:
        report_id = ids[index]
        try:
            if move == "complete":
                spool.move(report_id, "pending", "completed")
                state[report_id] = "completed"
            elif move == "reopen":
                spool.reopen(report_id)
                state[report_id] = "pending"
            elif move == "delete":
                spool.delete(state[report_id], report_id)
                state[report_id] = "deleted"
            else:
                with spool.claim("pending", report_id):
                    assert state[report_id] == "pending"
        except SpoolError as error:
            if error.code not in ("spool_report_not_found", "spool_not_usable"):
                raise
        for each, expected in state.items():
            stages = [name for name in ("new", "pending", "completed") if each in spool.ids(name)]
            assert stages == ([] if expected == "deleted" else [expected])
