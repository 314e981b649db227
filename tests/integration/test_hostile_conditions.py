"""What goes wrong around a crash is told clearly, and the host dies of its own fault only."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from disks import small_disk
from dying import PROGRAMS, Death, Home, analyze, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

PROGRAM = PROGRAMS / "die_hostile.py"


def die(home: Home, faults: Path, settings: dict[str, object], *more: str) -> Death:
    settings = {"product": "hostile", "version": "1", "dump_dir": str(home.spool), **settings}
    death = run_python([PROGRAM, json.dumps(settings), *more], home, LASTWORDS_FAULTS=str(faults))
    assert death.returncode == -signal.SIGSEGV, death.stderr
    assert "still here" in death.stdout
    return death


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"budget_s": "soon"}, "budget_s"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"url": "crashes.example.com"}, "url"),
        ({"attachments": 3}, "attachments"),
        ({"consent": "perhaps"}, "consent"),
    ],
)
def test_a_wrong_setting_is_named_and_the_crash_is_still_reported(
    settings: dict[str, object], told: str, home: Home, faults_library: Path
) -> None:
    death = die(home, faults_library, settings)
    assert told in death.stderr
    assert home.report().document["annotations"]["purpose"] == "hostile"


def test_a_missing_dump_directory_is_made(home: Home, faults_library: Path) -> None:
    deep = home.folder / "not" / "there" / "yet"
    die(home, faults_library, {"dump_dir": str(deep / "spool")})
    assert Home(folder=deep).report().dump.is_file()
    assert (deep / "spool").stat().st_mode & 0o777 == 0o700


def test_a_dump_directory_that_cannot_be_made_is_named(home: Home, faults_library: Path) -> None:
    (home.folder / "a-file").write_text("in the way")
    blocked = home.folder / "a-file" / "spool"
    death = die(home, faults_library, {"dump_dir": str(blocked)})
    assert str(blocked) in death.stderr


def test_a_missing_attachment_is_a_soft_error(home: Home, faults_library: Path) -> None:
    (home.folder / "app.log").write_text("the last line\n")
    there, missing = str(home.folder / "app.log"), str(home.folder / "no.log")
    die(home, faults_library, {"attachments": [there, missing]})
    report = home.report()
    assert [attachment["name"] for attachment in report.document["attachments"]] == ["app.log"]
    file = report.folder / report.document["attachments"][0]["file"]
    assert file.read_text() == "the last line\n"
    assert any("no.log" in str(error) for error in report.document["soft_errors"])


def test_without_permission_to_ptrace_the_report_says_so(home: Home, faults_library: Path) -> None:
    death = die(home, faults_library, {}, "deny-ptrace")
    report = home.report()
    told = json.dumps(report.document["soft_errors"]) + death.stderr
    assert "ptrace" in told
    assert report.document["mechanism"]["signal"]["name"] == "SIGSEGV"
    if report.dump.exists():
        assert "SIGSEGV" in analyze(report.dump)["crash_info"]["type"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    with small_disk(tmp_path / "small", 128) as folder:
        yield folder


@pytest.mark.parametrize("free_kib", [0, 12])
def test_a_full_disk_is_told_and_earlier_reports_stay(
    free_kib: int, disk: Path, home: Home, faults_library: Path
) -> None:
    earlier = disk / "spool/pending/8c9a6b9e-7c5e-4c8e-9d7a-0a2b6f1f3d11"
    earlier.mkdir(parents=True)
    (earlier / "report.json").write_text('{"schema": 1}')
    (disk / "ballast").write_bytes(bytes((124 - free_kib) * 1024))
    death = die(home, faults_library, {"dump_dir": str(disk / "spool")})
    assert "No space left on device" in death.stderr
    assert (earlier / "report.json").read_text() == '{"schema": 1}'
    for report in (disk / "spool/pending").glob("*/report.json"):
        json.loads(report.read_text())
