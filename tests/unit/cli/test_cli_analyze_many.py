"""`lastwords analyze` of many files, with workers of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lastwords.analyze.bulk import Failure, Summary
from lastwords.cli.analyze import command
from lastwords.cli.render.rows import failure_row, summary_row


def dump_bytes() -> bytes:
    """A dump that has a system and nothing else: a partial result."""
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 1, 32, 0, 0, 0)
    system = struct.pack("<H18xI32x", 9, 0x8201)
    return header + struct.pack("<III", 7, len(system), 44) + system


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two dumps, one of them deeper, a damaged one, and a file that is none by its name."""
    folder = tmp_path / "dumps"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.dmp").write_bytes(dump_bytes())
    (folder / "deep/a.DMP").write_bytes(dump_bytes())
    (folder / "bad.dmp").write_bytes(b"MDMP")
    (folder / "notes.txt").write_text("hello")
    return folder


def run(*arguments: object) -> Result:
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(command, [*words, "--no-cache", "-j", "2"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def documents(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_stands_for_its_dumps_by_name(folder: Path) -> None:
    result = run(folder, "--json-lines")
    files = [document["file"] for document in documents(result)]
    assert files == [str(folder / name) for name in ("b.dmp", "bad.dmp", "deep/a.DMP")]
    assert result.exit_code == 0
    assert result.stderr == "1 of 3 files could not be analysed\n"


def test_each_line_is_the_document_with_its_file_or_the_error(folder: Path) -> None:
    alone = CliRunner().invoke(command, [str(folder / "b.dmp"), "--json", "--no-cache"]).stdout
    good, bad = documents(run(folder / "b.dmp", folder / "bad.dmp", "--json-lines"))
    assert good == {"file": str(folder / "b.dmp"), **json.loads(alone)}
    error = bad["error"]
    assert isinstance(error, dict)
    assert (error["code"], set(bad)) == ("dump_malformed", {"file", "error"})
    assert set(error) == {"code", "message", "hint"}


def test_one_file_with_json_lines_is_one_line(folder: Path) -> None:
    assert len(documents(run(folder / "b.dmp", "--json-lines"))) == 1


def test_without_json_a_line_is_a_row(folder: Path) -> None:
    rows = run(folder).stdout.splitlines()
    assert [row.split()[0] for row in rows] == [
        str(folder / name) for name in ("b.dmp", "bad.dmp", "deep/a.DMP")
    ]
    assert rows[0].endswith("no crash")
    assert "  not analysed: " in rows[1]
    assert rows[1].endswith("[dump_malformed]")


def test_the_exit_status_tells_what_became_of_them(folder: Path) -> None:
    good, bad = folder / "b.dmp", folder / "bad.dmp"
    assert run(good, bad).exit_code == 0
    assert run(good, bad, "--strict").exit_code == 5
    assert run(good, good, "--strict").exit_code == 5  # partial
    assert run(bad, folder / "none.dmp").exit_code == 3


def test_a_folder_without_dumps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"there is no \.dmp") as caught:
        run(tmp_path)
    assert caught.value.exit_status == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("option", ["--json", "--brief", "--registers", "--memory", "--handles"])
def test_what_is_for_one_file_is_refused_for_many(folder: Path, option: str) -> None:
    result = run(folder, option)
    assert result.exit_code == 2
    assert f"{option} is for one file" in result.stderr


@pytest.mark.parametrize(("option", "value"), [("-j", "0"), ("--timeout", "0")])
def test_numbers_out_of_range_are_refused(folder: Path, option: str, value: str) -> None:
    assert CliRunner().invoke(command, [str(folder), option, value]).exit_code == 2


def test_the_bar_is_for_terminals_alone_and_never_on_stdout(folder: Path) -> None:
    words = [sys.executable, "-m", "lastwords", "analyze", str(folder), "--json-lines"]
    master, slave = pty.openpty()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=slave, check=False)
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 4096):
            shown += piece
    except OSError:  # Linux: the other end is closed
        pass
    os.close(master)
    assert b"dumps" in shown
    assert b"3/3" in shown
    assert len(done.stdout.splitlines()) == 3
    assert b"\x1b" not in done.stdout


def test_ctrl_c_ends_it_with_whole_lines_and_without_workers(tmp_path: Path) -> None:
    for number in range(2_000):
        (tmp_path / f"{number:04}.dmp").write_bytes(dump_bytes())
    words = [sys.executable, "-m", "lastwords", "analyze", str(tmp_path), "--json-lines"]
    process = subprocess.Popen(
        [*words, "-j", "2", "--no-cache"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert all(json.loads(line) for line in [first, *rest.splitlines()])
    assert errors.startswith(b"stopped after ")
    assert b"Traceback" not in errors
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(Path("/proc", str(worker)).exists() for worker in workers):
        assert time.monotonic() < deadline


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    words = f"{sys.executable} -m lastwords analyze {folder} --json-lines | head -c 1"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [[], ["--json-lines"]])
def test_a_full_disk_is_no_traceback(folder: Path, options: list[str]) -> None:
    words = [sys.executable, "-m", "lastwords", "analyze", str(folder), *options]
    with open("/dev/full", "w", encoding="ascii") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")


def test_a_row_marks_an_in_app_frame_and_shows_its_place() -> None:
    summary = Summary(
        reason="SIGSEGV", address="0x00000010", function="relax", file="/a/b/c/d/e.cpp", line=3,
        is_in_app=True,
    )  # fmt: skip
    row = summary_row(Path("a.dmp"), summary, 8).plain
    assert row.split() == ["a.dmp", "SIGSEGV", "at", "0x00000010", "*", "relax", "…/c/d/e.cpp:3"]
    other = Summary(reason="SIGABRT", function="raise", module="libc.so.6")
    assert summary_row(Path("a.dmp"), other, 8).plain.split()[-2:] == ["raise", "(libc.so.6)"]


def test_a_row_of_foreign_text_moves_no_cursor() -> None:
    failure = Failure(code="dump_empty", message="\x1b[2Jx: y")
    assert "\x1b" not in failure_row(Path("\x1b.dmp"), failure, 8).plain
