"""The tools that are compared, and what they print."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Tool", "shown", "tools"]

REPOSITORY = Path(__file__).parents[2]
PACKAGES = REPOSITORY / ".tools/stack-tools"
DEADLINE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that prints the stacks of a process or a core file.

    Attributes:
        name: With its version.
        live: Command, followed by a process id.
        core: Command, followed by a core file; `None` = it reads none.
        is_newest_first: Its order.
    """

    name: str
    live: tuple[str, ...]
    core: tuple[str, ...] | None
    is_newest_first: bool

    def lines(self, target: str, *, is_core: bool) -> list[str] | None:
        """What it prints, the oldest frame first; `None` = it fails, or reads no cores."""
        command = self.core if is_core else self.live
        if command is None:
            return None
        done = subprocess.run(
            [*command, target],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
            env={"PYTHONPATH": str(PACKAGES), "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        )
        if done.returncode != 0:
            return None
        lines = done.stdout.splitlines()
        return lines[::-1] if self.is_newest_first else lines


def _version(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(PACKAGES)}
    )
    found = re.search(r"\d[\w.]*", done.stdout + done.stderr)
    return found.group() if found else "?"


def tools() -> list[Tool]:
    """lastwords first."""
    own = str(Path(sys.executable).with_name("lastwords"))
    spy = str(PACKAGES / "bin/py-spy")
    stack = (sys.executable, "-m", "pystack")
    own_words = (own, "stacks", "--native", "--all", "--no-source")
    return [
        Tool(name="lastwords", live=own_words, core=own_words, is_newest_first=False),
        Tool(
            name=f"py-spy {_version(spy, '--version')}",
            live=(spy, "dump", "--native", "--pid"),
            core=None,
            is_newest_first=True,
        ),
        Tool(
            name=f"pystack {_version(*stack, '--version')}",
            live=(*stack, "remote", "--native-all"),
            core=(*stack, "core", "--native-all"),
            is_newest_first=False,
        ),
    ]


def shown(lines: list[str], frames: tuple[str, ...]) -> int:
    """How many of the frames are shown in their order, at most (longest common subsequence)."""
    best = [0] * (len(frames) + 1)
    for line in lines:
        before = best[:]
        for index, frame in enumerate(frames):
            if re.search(rf"(?<![\w]){re.escape(frame)}\w*", line):
                best[index + 1] = max(before[index + 1], before[index] + 1)
        for index in range(len(frames)):
            best[index + 1] = max(best[index + 1], best[index])
    return best[-1]
