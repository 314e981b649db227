"""The ways in which lastwords is asked for the stacks of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lastwords.cli.main import VERBS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HAS_STACKS_VERB", "analyze", "dump", "read_by_stacks", "spooled_dump"]

DEADLINE_S = 120
HAS_STACKS_VERB = "stacks" in VERBS


def lastwords(*words: str | Path | int) -> str:
    """What the command line prints."""
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", *map(str, words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def dump(pid: int, file: Path) -> Path:
    """Write a dump of a running process."""
    lastwords("dump", "--overwrite", pid, file)
    return file


def spooled_dump(spool: Path) -> Path:
    """The dump of the only report in a spool."""
    [file] = spool.glob("pending/*/dump.dmp")
    return file


def analyze(file: Path) -> dict[str, Any]:
    """The analysis document of a dump."""
    document = json.loads(lastwords("analyze", file, "--json", "--max-frames", "32768"))
    assert isinstance(document, dict)
    return document


def read_by_stacks(source: int | Path) -> dict[str, Any]:
    """The analysis document of a process, a core or a dump."""
    document = json.loads(lastwords("stacks", source, "--native", "--json", "--all"))
    assert isinstance(document, dict)
    return document
