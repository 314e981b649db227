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

from lastwords import _native
from lastwords.sdk.native import find_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from building import Built
    from interpreters import Interpreter
    from scripts import Script

__all__ = ["Victim", "running"]

SOURCE = Path(_native.__file__ or "").parents[1]
"""What must be on the path of a process that installs lastwords."""
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
    library: Path | None = None,
    spool: Path | None = None,
) -> Iterator[Victim]:
    """Run `scripts` in one process of `interpreter`, each in its own thread; ends it at the end.

    Args:
        interpreter: What runs them.
        built: The native steps.
        scripts: The last one runs in the main thread.
        folder: Where they are written; must not be there yet.
        options: Of the interpreter.
        library: The interpreter's library, instead of its own.
        spool: The process installs lastwords, with its spool there, and dies.

    Raises:
        ScriptError: A script did not reach its end, or does not do what it declares.
    """
    _write(scripts, built, folder, spool)
    environment = _clean_environment()
    if library:
        environment["LD_LIBRARY_PATH"] = str(library.parent)
    if spool:
        environment |= {"LASTWORDS_MONITOR": find_monitor(), "HOME": str(spool)}
    told = folder / "stderr.txt"
    with told.open("w") as stderr:
        process = subprocess.Popen(
            [interpreter.program, "-I", "-S", *options, PROGRAM, folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
            cwd=folder, env=environment,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("{"):
            process.wait(timeout=DEADLINE_S)
            raise ScriptError(told.read_text("utf-8", "replace")[-4000:])
        truths = [read_truth(script, folder, interpreter.numbers) for script in scripts]
        if spool:
            process.wait(timeout=DEADLINE_S)
        try:
            for truth in truths:
                if truth.script.stop.system_calls and not spool:
                    _wait_for(process.pid, truth)
        except (FileNotFoundError, ProcessLookupError) as error:
            message = f"it ended: {process.wait(timeout=DEADLINE_S)}, {told.read_text('utf-8')}"
            raise ScriptError(message) from error
        yield Victim(pid=process.pid, truths=tuple(truths))
    finally:
        process.kill()
        process.communicate()
        Path(f"/tmp/perf-{process.pid}.map").unlink(missing_ok=True)  # of `-X perf`


def _write(scripts: Sequence[Script], built: Built, folder: Path, spool: Path | None) -> None:
    (folder / "truth").mkdir(parents=True)
    for script in scripts:
        script.write(folder)
    plan = {
        "extensions": {name: str(path) for name, path in built.extensions.items()},
        "rust": str(built.rust) if built.rust else None,
        "has": sorted(built.has),
        "path": [str(path) for path in built.path],
        "install": {"source": str(SOURCE), "spool": str(spool)} if spool else None,
        "scripts": [
            {
                "name": script.name,
                "file": script.file,
                "is_last": script.is_last,
                "thread": script.thread,
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
