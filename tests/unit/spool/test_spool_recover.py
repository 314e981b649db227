from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lastwords.spool.recover import recover
from lastwords.spool.spool import Spool
from lastwords.spool.writer import new_report_id

FALLBACK = {"product": "p", "version": "2", "url": "http://h/", "client_id": new_report_id()}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def leave(spool: Spool, files: dict[str, bytes], age_s: float) -> str:
    report_id = new_report_id()
    path = Path(spool.path("new", report_id))
    path.mkdir()
    moment = time.time() - age_s
    for name, data in files.items():
        (path / name).write_bytes(data)
        os.utime(path / name, (moment, moment))
    os.utime(path, (moment, moment))
    return report_id


def document(spool: Spool, report_id: str) -> dict:
    return json.loads(Path(spool.path("pending", report_id), "report.json").read_text())


def test_a_dump_without_document_gets_a_minimal_one(spool: Spool) -> None:
    report_id = leave(spool, {"dump.dmp": b"MDMP1234"}, 3600)
    assert recover(spool, fallback=FALLBACK) == [report_id]
    made = document(spool, report_id)
    assert (made["report_id"], made["product"], made["url"]) == (report_id, "p", "http://h/")
    assert made["dump"] == {"file": "dump.dmp", "size_bytes": 8, "kind": "mini"}
    assert [problem["code"] for problem in made["soft_errors"]] == ["report_recovered"]
    assert made["created"].endswith("Z")


def test_a_document_of_a_dead_process_keeps_what_it_says(spool: Spool) -> None:
    said = {"product": "q", "process": {"pid": dead_pid()}, "newer": {"key": [1]}}
    report_id = leave(spool, {"report.json": json.dumps(said).encode()}, 90)
    assert recover(spool, fallback=FALLBACK) == [report_id]
    made = document(spool, report_id)
    assert (made["product"], made["newer"]) == ("q", {"key": [1]})
    assert made["soft_errors"][0]["code"] == "report_recovered"


def test_what_the_monitor_was_writing_is_removed(spool: Spool) -> None:
    said = json.dumps({"process": {"pid": dead_pid()}}).encode()
    files = {"report.json": said, "report.json.part": b"{", "dump.dmp": b"MDMP1234"}
    report_id = leave(spool, files, 90)
    assert recover(spool) == [report_id]
    left = {path.name for path in Path(spool.path("pending", report_id)).iterdir()}
    assert left - {"delivery.lock"} == {"report.json", "dump.dmp"}


@pytest.mark.parametrize("pid", [os.getpid(), 1, None, -5, "x", 2**70])
def test_a_living_or_unknown_writer_is_given_time(spool: Spool, pid: object) -> None:
    data = json.dumps({"process": {"pid": pid}}).encode()
    report_id = leave(spool, {"report.json": data}, 300)
    assert recover(spool) == []
    assert recover(spool, now=time.time() + 400) == [report_id]


def test_the_monitor_of_a_dead_process_is_given_time(spool: Spool) -> None:
    said = json.dumps({"process": {"pid": dead_pid()}}).encode()
    leave(spool, {"report.json": said, "dump.dmp": b"MDMP"}, 5)
    assert recover(spool) == []


def test_a_damaged_document_is_kept_beside_a_new_one(spool: Spool) -> None:
    report_id = leave(spool, {"report.json": b'{"product": "q', "dump.dmp": b"MDMP"}, 3600)
    assert recover(spool, fallback=FALLBACK) == [report_id]
    path = Path(spool.path("pending", report_id))
    assert (path / "attachments/report.json.damaged").read_bytes() == b'{"product": "q'
    assert document(spool, report_id)["product"] == "p"


def test_what_holds_nothing_is_removed_or_left(spool: Spool) -> None:
    empty = leave(spool, {}, 3600)
    odd = leave(spool, {"dump.partial": b"x"}, 3600)
    removed = Path(spool.directory, "new", ".removed-" + new_report_id())
    removed.mkdir()
    assert recover(spool) == []
    assert spool.ids("new") == [odd]
    assert empty not in spool.ids("new")
    assert not removed.exists()


def test_a_full_disk_leaves_it_in_new(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    report_id = leave(spool, {"dump.dmp": b"MDMP"}, 3600)

    def no_space(path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lastwords.spool.recover.write_file", no_space)
    assert recover(spool) == []
    assert spool.ids("new") == [report_id]
