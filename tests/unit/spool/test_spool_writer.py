from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.errors import SpoolError
from lastwords.spool import writer as module
from lastwords.spool.writer import (
    ATTACHMENT_LIMIT_BYTES,
    ReportWriter,
    client_id,
    ensure_spool,
    has_reports,
    is_report_id,
    new_report_id,
)


@pytest.fixture
def spool_dir(tmp_path: Path) -> str:
    ensure_spool(str(tmp_path / "spool"))
    return str(tmp_path / "spool")


def files_below(path: str) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in Path(path).rglob("*") if file.is_file())


def test_report_ids_are_random_version_4_uuids() -> None:
    made = new_report_id()
    assert uuid.UUID(made).version == 4
    assert str(uuid.UUID(made)) == made
    assert is_report_id(made)
    assert new_report_id() != made


@given(st.text(max_size=40))
def test_nothing_but_an_id_is_an_id(text: str) -> None:
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    assert is_report_id(text) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize("name", ["..", "/", "../" * 12, "a" * 36, None, 3, "0" * 36, "-" * 36])
def test_hostile_names_are_no_ids(name: object) -> None:
    assert not is_report_id(name)


def test_a_missing_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    ensure_spool(str(tmp_path / "a" / "spool"))
    for name in ("", "new", "pending", "completed"):
        assert (tmp_path / "a" / "spool" / name).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("in_the_way", ["", "new", "pending"])
def test_a_file_in_place_of_a_directory_is_a_clear_error(tmp_path: Path, in_the_way: str) -> None:
    spool = tmp_path / "spool"
    if in_the_way:
        spool.mkdir()
    (spool / in_the_way).write_text("x")
    with pytest.raises(SpoolError) as caught:
        ensure_spool(str(spool))
    assert caught.value.code == "spool_not_usable"
    assert str(spool) in caught.value.message
    assert "dump_dir" in caught.value.hint


def test_a_stage_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spool" / "pending").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolError, match="Not a directory"):
        ensure_spool(str(tmp_path / "spool"))


def test_a_directory_without_permission_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SpoolError, match="no permission"):
        ensure_spool(str(tmp_path / "spool"))


def test_a_committed_report_is_whole_and_in_pending(spool_dir: str, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("last line")
    writer = ReportWriter(spool_dir)
    entry = writer.attach(str(tmp_path / "app.log"))
    writer.write_document('{"schema":1}')
    assert files_below(spool_dir) == [
        "new/" + writer.report_id + "/attachments/app.log",
        "new/" + writer.report_id + "/report.json",
    ]
    path = writer.commit()
    assert path == f"{spool_dir}/pending/{writer.report_id}"
    assert files_below(path) == ["attachments/app.log", "report.json"]
    assert entry == {
        "name": "app.log", "file": "attachments/app.log", "size_bytes": 9, "is_cut": False,
    }  # fmt: skip
    assert list(Path(spool_dir, "new").iterdir()) == []
    assert Path(path, "report.json").stat().st_mode & 0o777 == 0o600


def test_of_a_long_attachment_the_end_is_kept(spool_dir: str, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"a" * 100 + b"b" * ATTACHMENT_LIMIT_BYTES)
    writer = ReportWriter(spool_dir)
    entry = writer.attach(str(log))
    assert entry["is_cut"] is True
    assert Path(writer.path, "attachments/app.log").read_bytes() == b"b" * ATTACHMENT_LIMIT_BYTES


def test_two_attachments_of_the_same_name_both_stay(spool_dir: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "app.log").write_text(folder)
    writer = ReportWriter(spool_dir)
    names = [writer.attach(str(tmp_path / folder / "app.log"))["name"] for folder in ("a", "b")]
    assert names == ["app.log", "2_app.log"]


def test_what_is_no_regular_file_is_not_attached(spool_dir: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = ReportWriter(spool_dir)
    for source in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        with pytest.raises(OSError):  # noqa: PT011
            writer.attach(str(source))
    assert files_below(writer.path) == []


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60))
def test_no_attachment_name_leaves_the_report(name: str) -> None:
    writer = ReportWriter.__new__(ReportWriter)
    writer._names = set()
    made = writer._free_name(name)
    assert "/" not in made
    assert not made.startswith(".")
    assert made


def fail_writing(monkeypatch: pytest.MonkeyPatch, after_bytes: int, code: int) -> None:
    real_write, left = os.write, [after_bytes]

    def write(fd: int, data: bytes) -> int:
        if left[0] <= 0:
            raise OSError(code, os.strerror(code))
        taken = real_write(fd, bytes(data)[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(module.os, "write", write)


@pytest.mark.parametrize("after_bytes", [0, 5, 5000])
def test_a_full_disk_leaves_no_half_document(
    spool_dir: str, monkeypatch: pytest.MonkeyPatch, after_bytes: int
) -> None:
    writer = ReportWriter(spool_dir)
    fail_writing(monkeypatch, after_bytes, errno.ENOSPC)
    with pytest.raises(SpoolError) as caught:
        writer.write_document("x" * 10_000)
    assert caught.value.code == "spool_no_space"
    assert "space" in caught.value.message.lower()
    assert files_below(writer.path) == []
    writer.abandon()
    assert list(Path(spool_dir, "new").iterdir()) == []


def test_a_file_that_does_not_fit_is_removed_again(
    spool_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.log").write_bytes(b"x" * 100_000)
    writer = ReportWriter(spool_dir)
    fail_writing(monkeypatch, 70_000, errno.EDQUOT)
    with pytest.raises(OSError):  # noqa: PT011
        writer.attach(str(tmp_path / "app.log"))
    assert files_below(writer.path) == []


def test_the_client_id_stays(spool_dir: str) -> None:
    made = client_id(spool_dir)
    assert client_id(spool_dir) == made
    assert files_below(spool_dir) == ["client_id"]


def test_a_damaged_client_id_is_made_anew(spool_dir: str) -> None:
    Path(spool_dir, "client_id").write_bytes(b"\xff garbage")
    made = client_id(spool_dir)
    assert is_report_id(made)
    assert client_id(spool_dir) == made
    assert files_below(spool_dir) == ["client_id"]


def test_processes_that_start_together_agree_on_one_client_id(spool_dir: str) -> None:
    program = (
        "import sys; from lastwords.spool.writer import client_id; print(client_id(sys.argv[1]))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, spool_dir], stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    answers = {process.communicate(timeout=60)[0] for process in running}
    assert len(answers) == 1
    assert files_below(spool_dir) == ["client_id"]


def test_an_empty_spool_has_no_reports(spool_dir: str) -> None:
    assert not has_reports(spool_dir)
    ReportWriter(spool_dir)
    assert has_reports(spool_dir)
    assert not has_reports(spool_dir + "-missing")
