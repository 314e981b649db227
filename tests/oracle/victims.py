"""Starts the process that runs call scripts, and waits until all its threads stand still."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truth import ScriptError, Truth, read_truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from building import Built
    from interpreters import Interpreter
    from scripts import Script

__all__ = ["Victim", "running"]

PROGRAM = Path(__file__).parent / "programs" / "victim.py"
DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A process whose threads stand where their scripts end."""

    pid: int
    truths: tuple[Truth, ...]


@contextlib.contextmanager
def running(
    interpreter: Interpreter,
    built: Built,
    scripts: Sequence[Script],
    folder: Path,
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Victim]:
    """Run `scripts` in one process of `interpreter`, each in its own thread; ends it at the end.

    Raises:
        ScriptError: A script did not reach its end, or does not do what it declares.
    """
    _write(scripts, built, folder)
    process = subprocess.Popen(
        [interpreter.program, "-I", "-S", *options, PROGRAM, folder],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=folder, env={**_clean_environment(), **(environment or {})},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready.startswith("{"):
            raise ScriptError(process.communicate(timeout=DEADLINE_S)[1][-4000:])
        truths = [read_truth(script, folder, interpreter.numbers) for script in scripts]
        for truth in truths:
            _wait_for(process.pid, truth)
        yield Victim(pid=process.pid, truths=tuple(truths))
    finally:
        process.kill()
        process.communicate()


def _write(scripts: Sequence[Script], built: Built, folder: Path) -> None:
    (folder / "truth").mkdir(parents=True)
    for script in scripts:
        script.write(folder)
    plan = {
        "extensions": {name: str(path) for name, path in built.extensions.items()},
        "rust": str(built.rust) if built.rust else None,
        "has": sorted(built.has),
        "path": [str(path) for path in built.path],
        "scripts": [
            {
                "name": script.name,
                "file": script.file,
                "is_last": script.is_last,
                "is_raw_thread": script.is_raw_thread,
            }
            for script in scripts
        ],
    }
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")


def _clean_environment() -> dict[str, str]:
    unwanted = ("LASTWORDS_", "PYTHON", "LD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def _wait_for(pid: int, truth: Truth) -> None:
    """Wait until the thread is in the system call in which it stops."""
    place = Path(f"/proc/{pid}/task/{truth.thread_id}/syscall")
    end = time.monotonic() + DEADLINE_S
    calls = {str(call) for call in truth.script.stop.system_calls}
    while (found := place.read_text("ascii").split()[0]) not in calls:
        if time.monotonic() > end:
            raise ScriptError(f"{truth.script.name} is in system call {found}, not in {calls}")
        time.sleep(0.001)
