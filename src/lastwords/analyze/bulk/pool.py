"""The pool: worker processes, who gets which dump, what becomes of one whose worker dies.

One thread waits for all workers. A dump is given out only when a worker is free, and not further
ahead of the oldest result that is still wanted than a small window, in dumps and in bytes: memory
does not grow with the number of dumps.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.analyze.bulk.order import Failure, Outcome
from lastwords.analyze.bulk.worker import FAILED, HEAD, PARTIAL

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from lastwords.analyze.bulk.order import BulkOrder

__all__ = ["WORKER_COMMAND", "analyze_many"]

# No module is taken from the current folder: it holds files of strangers.
_PROGRAM = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from lastwords.analyze.bulk.worker import main; main()"
)
WORKER_COMMAND = (sys.executable, "-c", _PROGRAM)
_READ_BYTES = 1 << 20
_WINDOW_OF_WORKER = 16
_HELD_BYTES = 64 << 20
_DYING_S = 5.0


def analyze_many(
    paths: Sequence[Path],
    order: BulkOrder,
    *,
    workers: int,
    is_ordered: bool = True,
    command: Sequence[str] = WORKER_COMMAND,
) -> Generator[Outcome, None, None]:
    """Analyse dumps in processes of their own.

    Args:
        paths: The files.
        order: How.
        workers: Processes at a time.
        is_ordered: Whether outcomes come in the order of `paths`, else as they are there.
        command: Starts a worker.

    Yields:
        One outcome for each path. A dump that its worker dies of, or that takes too long, is
        a failure; the worker is replaced.
    """
    with tempfile.TemporaryDirectory(prefix="lastwords-bulk-") as scratch:
        pool = _Pool(paths, order, command, Path(scratch))
        try:
            yield from pool.run(min(workers, len(paths)), is_ordered=is_ordered)
        finally:
            pool.end()


class _Worker:
    """One process, and the dump that it works on."""

    def __init__(self, command: Sequence[str], order: BulkOrder, scratch: Path) -> None:
        scratch.mkdir()
        self.task: int | None = None
        self._received = bytearray()
        # A terminal's Ctrl-C goes to the pool alone.
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        self._tell(asdict(order))

    @property
    def output(self) -> int:
        assert self.process.stdout is not None  # noqa: S101  (opened above)
        return self.process.stdout.fileno()

    def give(self, task: int, path: Path) -> None:
        self.task = task
        self._tell(os.fspath(path))

    def _tell(self, value: object) -> None:
        """Write one line; one that is dead is found by its output's end."""
        assert self.process.stdin is not None  # noqa: S101  (opened above)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            self.process.stdin.flush()

    def receive(self) -> tuple[int, bytes] | None:
        """Read what is there; the answer once it is whole.

        Raises:
            EOFError: The worker has ended.
        """
        piece = os.read(self.output, _READ_BYTES)
        if not piece:
            raise EOFError
        self._received += piece
        if len(self._received) < HEAD.size:
            return None
        kind, size = HEAD.unpack_from(self._received)
        if len(self._received) < HEAD.size + size:
            return None
        body = bytes(self._received[HEAD.size : HEAD.size + size])
        self._received.clear()
        return kind, body

    def end(self, *, grace_s: float = 0.0) -> int:
        """Kill it if it lives after the grace; returns how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        self.process.kill()
        status = self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.__exit__(None, None, None)
        return status


def _is_much(held: dict[int, Outcome]) -> bool:
    return sum(len(outcome.answer or b"") for outcome in held.values()) > _HELD_BYTES


class _Pool:
    def __init__(
        self, paths: Sequence[Path], order: BulkOrder, command: Sequence[str], scratch: Path
    ) -> None:
        self._paths = paths
        self._order = order
        self._command = command
        self._scratch = scratch
        self._selector = selectors.DefaultSelector()
        self._free: deque[_Worker] = deque()
        self._busy: dict[int, _Worker] = {}
        self._started = 0

    def run(self, workers: int, *, is_ordered: bool) -> Iterator[Outcome]:
        """Give out dumps and collect outcomes."""
        held: dict[int, Outcome] = {}
        given = wanted = 0
        while wanted < len(self._paths):
            is_ahead = given - wanted >= workers * _WINDOW_OF_WORKER or _is_much(held)
            while len(self._busy) < workers and given < len(self._paths) and not is_ahead:
                self._give(given)
                given += 1
            for outcome in self._collect():
                if is_ordered:
                    held[outcome.index] = outcome
                else:
                    wanted += 1
                    yield outcome
            while wanted in held:
                yield held.pop(wanted)
                wanted += 1

    def _give(self, task: int) -> None:
        worker = self._free.pop() if self._free else self._start()
        worker.give(task, self._paths[task])
        self._busy[worker.output] = worker

    def _start(self) -> _Worker:
        self._started += 1
        worker = _Worker(self._command, self._order, self._scratch / str(self._started))
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        return worker

    def _collect(self) -> Iterator[Outcome]:
        for key, _ in self._selector.select():
            worker: _Worker = key.data
            try:
                answer = worker.receive()
            except EOFError:
                yield from self._bury(worker)
                continue
            if answer is not None:
                del self._busy[worker.output]
                self._free.append(worker)
                yield self._outcome(worker, *answer)

    def _outcome(self, worker: _Worker, kind: int, body: bytes) -> Outcome:
        index, worker.task = worker.task or 0, None
        path = self._paths[index]
        if kind == FAILED:
            return Outcome(index=index, path=path, failure=Failure(**json.loads(body)))
        return Outcome(index=index, path=path, answer=body, is_partial=kind == PARTIAL)

    def _bury(self, worker: _Worker) -> Iterator[Outcome]:
        """Take a dead worker out; the dump that it worked on failed."""
        self._selector.unregister(worker.output)
        if self._busy.pop(worker.output, None) is None:
            self._free.remove(worker)
        index = worker.task
        # Its output closes a moment before it has ended.
        status = worker.end(grace_s=_DYING_S)
        if index is not None:
            path = self._paths[index]
            yield Outcome(index=index, path=path, failure=self._failure(path, status))

    def _failure(self, path: Path, status: int) -> Failure:
        if status == -signal.SIGALRM:
            return Failure(
                code="analysis_timed_out",
                message=f"{path}: the analysis took longer than {self._order.timeout_s:g} s",
                hint="give it more time: --timeout SECONDS",
            )
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        known = {one.value: one.name for one in signal.Signals}
        return Failure(
            code="analysis_died",
            message=f"{path}: the process that analysed it ended with {known.get(-status, how)}",
            hint="does it need more memory? --max-memory MIB; if not, please report it",
        )

    def end(self) -> None:
        """End all workers, also those that work."""
        for worker in (*self._busy.values(), *self._free):
            worker.end()
        self._busy.clear()
        self._free.clear()
        self._selector.close()
