"""Programs that know nothing of lastwords, and the verbs that dump them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dying import DEADLINE_S, PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYENV = Path.home() / ".pyenv/versions"
LASTWORDS = [sys.executable, "-m", "lastwords"]


def compile_target(folder: Path) -> Path:
    """`programs/target.c`, built with debug information."""
    program = folder / "target"
    command = ["cc", "-g", "-O1", "-pthread", "-o", str(program), str(PROGRAMS / "target.c")]
    subprocess.run(command, check=True, timeout=DEADLINE_S)
    return program


def lastwords(
    *words: str | Path | int, cwd: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [*LASTWORDS, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def facts_of(text: str) -> list[dict[str, Any]]:
    """The JSON lines that a program printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def interpreters() -> Iterator[tuple[str, Path]]:
    """Version and path of the interpreters of this machine that can be read."""
    for folder in sorted(PYENV.glob("3.1[0-3].*")):
        program = folder / "bin/python3"
        if os.access(program, os.X_OK):
            yield folder.name, program


def start(command: Sequence[str | Path], **options: Any) -> tuple[subprocess.Popen[str], int]:
    """Start a program that prints a line of facts with its `pid` when it is ready."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, json.loads(line)["pid"]
