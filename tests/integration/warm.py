"""A warm process whose forked children die by order, and how each of them ended."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dying import PROGRAMS, Home

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["End", "Warm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one child ended; fields as programs/die_repeatedly.py tells them."""

    pid: int
    status: int
    seconds: float
    stderr: str
    zombies: bool
    descriptors: int
    maps: int


class Warm:
    """Runs programs/die_repeatedly.py; a context manager.

    Args:
        home: Whose spool the reports go to, and where the process keeps its notes.
        monitor: Path of the monitor; the package's own when `None`.
        behind: Path of the real monitor, when `monitor` is one that tampers with it.
        settings: Of `install()`.
    """

    def __init__(
        self,
        home: Home,
        *,
        monitor: Path | None = None,
        behind: Path | None = None,
        **settings: object,
    ) -> None:
        self.notes = home.folder / "notes"
        self.notes.mkdir()
        (self.notes / "order").write_text("record")
        settings = {"product": "warm", "version": "1", "dump_dir": str(home.spool)} | settings
        more = {"TEST_INJECT_DIR": str(self.notes)}
        if monitor is not None and behind is not None:
            more |= {"LASTWORDS_MONITOR": str(monitor), "TEST_MONITOR": str(behind)}
        self._process = subprocess.Popen(
            [sys.executable, PROGRAMS / "die_repeatedly.py", json.dumps(settings)],
            cwd=home.folder,
            env=home.environment(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def die(self, **asked: Any) -> End:
        """Let one child die."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the warm process itself ended: {self._process.wait(10)}"
        return End(**json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=20)
