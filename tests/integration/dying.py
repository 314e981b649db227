"""Programs that die, and what they leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastwords.sdk.native import find_monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAMS = Path(__file__).parent / "programs"
REPOSITORY_SOURCE = Path(__file__).parents[2] / "src"
DEADLINE_S = 60.0


def wait_until(is_true: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a state; fail with `what` when it does not come before the deadline."""
    end = time.monotonic() + deadline_s
    while not is_true():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {deadline_s:g} s")
        time.sleep(0.02)


def for_any_interpreter() -> dict[str, str]:
    """Environment of a program run by an interpreter in which lastwords is not installed."""
    return {"LASTWORDS_MONITOR": find_monitor()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledReport:
    """One report directory of a spool."""

    folder: Path
    document: dict[str, Any]

    @property
    def dump(self) -> Path:
        return self.folder / "dump.dmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home of its own for the programs of one test: nothing of the user's is read or written."""

    folder: Path

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LASTWORDS_")}
        kept |= {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        kept |= {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONUNBUFFERED": "1"}
        kept.pop("DISPLAY", None)
        return kept | more

    def reports(self, state: str = "pending") -> list[SpooledReport]:
        found = []
        for folder in sorted((self.spool / state).glob("*")):
            with contextlib.suppress(FileNotFoundError):  # it has just moved on
                document = json.loads((folder / "report.json").read_text("utf-8"))
                found.append(SpooledReport(folder=folder, document=document))
        return found

    def report(self, state: str = "pending") -> SpooledReport:
        """The only report in that state, waited for."""
        wait_until(lambda: bool(self.reports(state)), f"a report in {self.spool / state}")
        reports = self.reports(state)
        assert len(reports) == 1, f"expected one report, found {[r.folder.name for r in reports]}"
        return reports[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a program ended."""

    returncode: int
    stdout: str
    stderr: str
    cwd: Path

    @property
    def facts(self) -> dict[str, Any]:
        """What the program wrote about itself before its end (the last JSON line on stdout)."""
        lines = [line for line in self.stdout.splitlines() if line.startswith("{")]
        assert lines, f"the program printed no facts; stderr: {self.stderr}"
        facts = json.loads(lines[-1])
        assert isinstance(facts, dict)
        return facts


def run_python(
    arguments: Sequence[str | Path],
    home: Home,
    *,
    cwd: Path | None = None,
    has_core: bool = False,
    timeout_s: float = DEADLINE_S,
    **environment: str,
) -> Death:
    """Run this interpreter with `arguments` to its end.

    Args:
        arguments: What stands after `python`.
        home: Where it finds its settings.
        cwd: Its working folder; the home if `None`.
        has_core: Whether the system may write a core file.
        timeout_s: When it is killed, which fails the test.
        environment: Further environment variables.
    """
    cwd = cwd or home.folder
    limit = resource.RLIM_INFINITY if has_core else 0

    def limit_core() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (limit, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=home.environment(**environment),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        preexec_fn=limit_core,
        check=False,
    )
    return Death(returncode=done.returncode, stdout=done.stdout, stderr=done.stderr, cwd=cwd)


def analyze(dump: Path, *options: str) -> dict[str, Any]:
    """What `lastwords analyze --json` says about a dump."""
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "analyze", "--json", *options, str(dump)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    analysis = json.loads(done.stdout)
    assert isinstance(analysis, dict)
    return analysis


def crashing_frames(analysis: dict[str, Any]) -> list[dict[str, Any]]:
    """The merged frames of the crashing thread, with inline frames as frames of their own."""
    thread = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    frames: list[dict[str, Any]] = []
    for frame in thread["frames"]:
        frames += [
            {"kind": "native", "is_inline": True, "module": frame.get("module"), **inline}
            for inline in frame.get("inlines") or []
        ]
        frames.append(frame)
    return frames
