"""The main loop, and the worker threads that compute one band of the plate each."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from victim._physics import Plate

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Band", "Simulation"]


class Band:
    """The rows of the plate that one worker thread computes.

    Args:
        plate: The plate.
        first_row: First row of the band.
        last_row: The row after the band's last one.
    """

    def __init__(self, plate: Plate, first_row: int, last_row: int) -> None:
        self.plate = plate
        self.first_row = first_row
        self.last_row = last_row

    def advance(self) -> None:
        """Compute the band's next step."""
        self.plate.relax(self.first_row, self.last_row)


class Simulation:
    """A plate, computed step by step by worker threads that run in lockstep.

    Args:
        size: Cells along one edge of the plate.
        workers: Number of worker threads.
    """

    def __init__(self, size: int = 120, workers: int = 3) -> None:
        self.plate = Plate(size)
        self.means: dict[int, float] = {}
        self.step = 0
        self._is_done = False
        self._barrier = threading.Barrier(workers + 1)
        edges = [size * index // workers for index in range(workers + 1)]
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(Band(self.plate, edges[index], edges[index + 1]),),
                name=f"band-{index}",
            )
            for index in range(workers)
        ]

    def __enter__(self) -> Simulation:  # noqa: PYI034  (typing.Self needs Python 3.11)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_done = True
        self._barrier.abort()
        for thread in self._threads:
            thread.join()

    def run(self, steps: int, before_step: Callable[[Simulation], None]) -> None:
        """Compute `steps` steps; `before_step` is called ahead of each."""
        for self.step in range(1, steps + 1):
            before_step(self)
            self._barrier.wait()  # the workers start
            self._barrier.wait()  # the workers are done
            self.means[self.step] = self.plate.finish_step()

    def warming(self, step: int) -> float:
        """By how much the plate's mean temperature rose in `step`, in degrees."""
        return self.means[step] - self.means[step - 1]

    def _work(self, band: Band) -> None:
        try:
            while not self._is_done:
                self._barrier.wait()
                band.advance()
                self._barrier.wait()
        except threading.BrokenBarrierError:
            pass  # the simulation has ended
