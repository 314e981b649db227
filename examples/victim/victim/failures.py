"""The bugs that `--fail` brings in. Each is one that real programs have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from victim.simulation import Simulation

__all__ = ["FAILING_STEP", "FAILURES"]

FAILING_STEP = 20
"""The step before which the bug strikes. Until then the program is healthy."""


def access_violation(simulation: Simulation) -> None:
    """Close the probe too early: a worker's next sample is written through a null pointer."""
    simulation.plate.close_probe()


def python_exception(simulation: Simulation) -> None:
    """Ask for a step that was not computed yet: an off-by-one error."""
    simulation.warming(simulation.step)


def cpp_exception(simulation: Simulation) -> None:
    """Choose a conductivity at which the scheme is unstable: the C++ core throws."""
    simulation.plate.conductivity = 60.0


FAILURES: dict[str, Callable[[Simulation], None]] = {
    "access-violation": access_violation,
    "python-exception": python_exception,
    "cpp-exception": cpp_exception,
}
"""Name on the command line → what goes wrong."""
