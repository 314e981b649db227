"""A core that records what it is told, and programs that run to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import lastwords
from lastwords.sdk import annotations, installation, uninstall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FakeCore(types.ModuleType):
    """Stands for `lastwords._native`; `calls` holds what was called with what."""

    def __init__(self) -> None:
        super().__init__("lastwords._native")
        self.calls: list[tuple[str, Any]] = []
        self.failure: Exception | None = None

    def arm(self, **arguments: object) -> int:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("arm", arguments))
        return 4321

    def disarm(self) -> None:
        self.calls.append(("disarm", None))

    def set_annotation(self, key: str, value: str | None, kind: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("set_annotation", (key, value, kind)))

    def add_breadcrumb(self, *crumb: object) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(("add_breadcrumb", crumb))

    def set_throw_note(self, note_type: type[str]) -> None:
        self.calls.append(("set_throw_note", note_type))

    def after_fork_in_child(self) -> None:
        self.calls.append(("after_fork_in_child", None))

    def named(self, name: str) -> list[Any]:
        return [arguments for called, arguments in self.calls if called == name]


@pytest.fixture
def core(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCore]:
    """The recording core, a monitor to be found, and nothing installed before or after."""
    fake = FakeCore()
    monkeypatch.setitem(sys.modules, "lastwords._native", fake)
    monkeypatch.setattr(lastwords, "_native", fake, raising=False)
    monitor = tmp_path / "lastwords-monitor"
    monitor.write_text("#!/bin/sh\n")
    monitor.chmod(0o755)
    monkeypatch.setenv("LASTWORDS_MONITOR", str(monitor))
    annotations._values.clear()
    installation._state.has_kept_house = False
    yield fake
    uninstall()
    annotations._values.clear()


@dataclass
class Ended:
    """How a program ended, and the reports that it left."""

    returncode: int
    stdout: str
    stderr: str
    spool: Path

    def reports(self) -> list[dict[str, Any]]:
        files = sorted(self.spool.glob("pending/*/report.json"), key=lambda f: f.stat().st_mtime_ns)
        return [json.loads(file.read_text()) for file in files]

    def report(self) -> dict[str, Any]:
        reports = self.reports()
        assert len(reports) == 1, (len(reports), self.stderr)
        return reports[0]


PREAMBLE = """
import lastwords, sys, threading, warnings
with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # there may be no compiled core here
    installation = lastwords.install('p', '1.2', **SETTINGS)
"""


@pytest.fixture
def run(home: Path) -> Callable[..., Ended]:
    """Run a program in which the SDK is installed: `run("raise ValueError('x')")`."""

    def run_program(
        program: str,
        *options: str,
        preamble: str = PREAMBLE,
        before: Callable[[], None] | None = None,
        **settings: object,
    ) -> Ended:
        spool = home / "spool"
        settings.setdefault("dump_dir", str(spool))
        text = preamble.replace("SETTINGS", repr(settings)) + program
        environment = {**os.environ, "LASTWORDS_MONITOR": "/nonexistent"}  # Python reports only
        ended = subprocess.run(
            [sys.executable, *options, "-c", text],
            check=False, capture_output=True, text=True, timeout=60, preexec_fn=before,
            env=environment, cwd=home,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr, spool)

    return run_program
