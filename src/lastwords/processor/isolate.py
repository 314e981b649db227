"""A program in a disposable child with hard limits: for work on bytes that strangers made.

The child has its own session, no input, a bare environment, and files for its output whose size
the kernel bounds. Whatever happens in it (endless loop, all memory, a crash of its own, a fork)
ends with it: the whole process group is killed when the child ends or its time is over.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ChildEnd", "ChildLimits", "ChildResult", "Interrupt", "run_child"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
_ERROR_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """Bounds of one child: seconds and bytes."""

    wall_s: float = 120.0
    cpu_s: int = 90
    address_space_bytes: int = 4 << 30
    file_bytes: int = 32 << 20
    """Of any file it writes, its output among them."""
    open_files: int = 256


class ChildEnd(str, Enum):
    """How a child came to its end."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    WALL_TIME = "wall_time"
    CPU_TIME = "cpu_time"
    OUTPUT_SIZE = "output_size"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What is left of a child.

    `exit_status` is `None` unless it exited, `signal_number` unless a signal ended it. `error_text`
    is the end of its standard error, at most 4 KiB.
    """

    end: ChildEnd
    exit_status: int | None
    signal_number: int | None
    output: bytes
    error_text: str
    took_s: float

    @property
    def description(self) -> str:
        """How it ended, for people."""
        if self.end is ChildEnd.EXITED:
            return f"it ended with exit status {self.exit_status} after {self.took_s:.1f} s"
        if self.end is ChildEnd.SIGNALLED:
            name = signal.Signals(self.signal_number or 0).name
            return f"it was ended by {name} after {self.took_s:.1f} s"
        limits = {
            ChildEnd.WALL_TIME: "it was killed: it took longer than allowed",
            ChildEnd.CPU_TIME: "it was killed: it used more processor time than allowed",
            ChildEnd.OUTPUT_SIZE: "it was killed: it wrote more than allowed",
            ChildEnd.INTERRUPTED: "it was killed: the server stops",
        }
        return f"{limits[self.end]} ({self.took_s:.1f} s)"


class Interrupt:
    """Lets one thread end the children that others wait for, now and from then on."""

    def __init__(self) -> None:
        self.descriptor, self._other_end = os.pipe()

    def set(self) -> None:
        """End all children that were started with this interrupt."""
        os.write(self._other_end, b"!")

    def close(self) -> None:
        """Give the file descriptors back; no child may be running."""
        os.close(self.descriptor)
        os.close(self._other_end)


def run_child(
    command: Sequence[str], limits: ChildLimits, interrupt: Interrupt | None = None
) -> ChildResult:
    """Run a program (an absolute path first) and wait for its end.

    Raises:
        OSError: it could not be started, or its output not be read.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started_s = time.monotonic()
        child = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())),
                *(_limit_text(limits), "--", *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        try:
            cut_short = _wait(child, limits.wall_s, interrupt)
        finally:
            _kill_group(child)
        took_s = time.monotonic() - started_s
        status = child.wait()
        return ChildResult(
            end=cut_short or _end(status),
            exit_status=status if status >= 0 else None,
            signal_number=-status if status < 0 else None,
            output=_read(output, limits.file_bytes),
            error_text=_tail(errors),
            took_s=took_s,
        )


def _limit_text(limits: ChildLimits) -> str:
    return (
        f"as={limits.address_space_bytes},cpu={limits.cpu_s},"
        f"fsize={limits.file_bytes},nofile={limits.open_files}"
    )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    if python_path := os.environ.get("PYTHONPATH"):  # relative entries: the child works elsewhere
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, python_path.split(os.pathsep)))
    return {**kept, "LANG": "C.UTF-8", "PYTHONUTF8": "1", "NO_COLOR": "1"}


def _wait(
    child: subprocess.Popen[bytes], wall_s: float, interrupt: Interrupt | None
) -> ChildEnd | None:
    """Wait for the end without reaping, so that the group's id stays taken.

    Returns why the child is to be killed; `None` when it ended by itself.
    """
    descriptor = os.pidfd_open(child.pid)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        if interrupt is not None:
            poller.register(interrupt.descriptor, select.POLLIN)
        ready = [number for number, _ in poller.poll(wall_s * 1000)]
        if descriptor in ready:
            return None
        return ChildEnd.INTERRUPTED if ready else ChildEnd.WALL_TIME
    finally:
        os.close(descriptor)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end(status: int) -> ChildEnd:
    if status >= 0:
        return ChildEnd.EXITED
    special = {signal.SIGXCPU: ChildEnd.CPU_TIME, signal.SIGXFSZ: ChildEnd.OUTPUT_SIZE}
    return special.get(signal.Signals(-status), ChildEnd.SIGNALLED)


def _read(file: IO[bytes], most_bytes: int) -> bytes:
    file.seek(0)
    return file.read(most_bytes)


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ERROR_TAIL_BYTES))
    return file.read().decode("utf-8", "replace")
