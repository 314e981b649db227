"""Bars of running downloads, on stderr."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from lastwords.cli.render.clean import clean

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import TaskID
    from typing_extensions import Self

__all__ = ["DownloadBars"]


class DownloadBars:
    """One bar for each file that is being downloaded; threads may call it."""

    def __init__(self, console: Console | None = None) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self, url: str, name: str, done_bytes: int, total_bytes: int | None) -> None:
        """Move a file's bar; the first call makes it."""
        with self._lock:
            task = self._tasks.get(url)
            if task is None:
                task = self._progress.add_task(clean(name), total=total_bytes)
                self._tasks[url] = task
        self._progress.update(task, completed=done_bytes, total=total_bytes)

    def end(self, url: str) -> None:
        """Take a file's bar away."""
        with self._lock:
            task = self._tasks.pop(url, None)
        if task is not None:
            self._progress.remove_task(task)
