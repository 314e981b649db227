"""The C++ core of the simulation."""

from typing import final

@final
class Plate:
    """A square metal plate, `size` cells wide, hot at its left edge.

    Args:
        size: Cells along one edge, at least 3.
        conductivity: Share of a temperature difference that flows to a neighbour in one step.
            The explicit scheme is stable up to 0.25.
    """

    conductivity: float

    def __init__(self, size: int, conductivity: float = 0.2) -> None: ...
    @property
    def size(self) -> int:
        """Cells along one edge."""

    def relax(self, first_row: int, last_row: int) -> None:
        """Compute the next step of the rows `first_row <= row < last_row`, without the GIL."""

    def finish_step(self) -> float:
        """Make the computed step the current one; returns the plate's mean temperature.

        Raises:
            RuntimeError: The temperatures left their physical range.
        """

    def probe_samples(self) -> int:
        """Number of samples that the probe in the plate's middle holds."""

    def close_probe(self) -> None:
        """Release the probe's samples; nothing may be recorded afterwards."""
