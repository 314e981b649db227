"""What `lastwords demo` says when it cannot go its way. The way itself: tests/system."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lastwords.cli import demo
from lastwords.errors import DependencyError, LastwordsError

if TYPE_CHECKING:
    from pathlib import Path


def test_help_has_an_example() -> None:
    assert "lastwords demo --keep" in CliRunner().invoke(demo.command, ["--help"]).output


def test_without_the_victim_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    error = CliRunner().invoke(demo.command).exception
    assert isinstance(error, DependencyError)
    assert (error.code, error.exit_status) == ("demo_victim_missing", 4)
    assert "make setup" in (error.hint or "")


def test_a_server_that_does_not_start_is_quoted_and_its_folder_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start(folder: Path) -> subprocess.Popen[bytes]:
        (folder / "address.json").touch()
        with (folder / "server.log").open("wb") as log:
            return subprocess.Popen([sys.executable, "-c", "exit('no port is free')"], stderr=log)

    monkeypatch.setattr(demo, "_start_server", start)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    error = CliRunner().invoke(demo.command).exception
    assert isinstance(error, LastwordsError)
    assert error.code == "demo_server_failed"
    assert "no port is free" in error.message
    assert list(tmp_path.iterdir()) == []


def test_a_victim_that_survives_ends_the_demo(tmp_path: Path) -> None:
    (tmp_path / "victim.py").write_text("import sys; print('all is well', file=sys.stderr)\n")
    stage = demo._Stage(folder=tmp_path, url="http://127.0.0.1:9")
    with pytest.raises(LastwordsError, match="did not fail: all is well") as caught:
        demo._crash_three_times(stage)
    assert caught.value.code == "demo_step_failed"


def test_a_step_that_hangs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "victim.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setattr(demo, "_RUN_S", 0.5)
    stage = demo._Stage(folder=tmp_path, url="http://127.0.0.1:9")
    with pytest.raises(LastwordsError, match=r"victim --fail .* did not end within 0\.5 s"):
        demo._crash_three_times(stage)


def test_reports_that_cannot_be_delivered_end_the_demo(tmp_path: Path) -> None:
    stage = demo._Stage(folder=tmp_path, url="http://127.0.0.1:9")
    with pytest.raises(LastwordsError, match="were not delivered to"):
        demo._deliver(stage)


def test_a_crash_without_a_dump_ends_the_demo(tmp_path: Path) -> None:
    stage = demo._Stage(folder=tmp_path, url="http://127.0.0.1:9")
    with pytest.raises(LastwordsError, match="no minidump was written"):
        demo._show_stack(stage)
