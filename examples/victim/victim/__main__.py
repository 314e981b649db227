"""`python -m victim`: run the simulation; `--fail` makes it die."""

from __future__ import annotations

import argparse

import lastwords
from victim import __version__
from victim.failures import FAILING_STEP, FAILURES
from victim.simulation import Simulation


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="victim", description="Heat in a metal plate.")
    parser.add_argument("--steps", type=int, default=100, help="steps to compute (default: 100)")
    parser.add_argument("--fail", choices=sorted(FAILURES), help=f"die in step {FAILING_STEP}")
    parser.add_argument("--dump-dir", metavar="DIR", help="where crash reports are kept")
    parser.add_argument("--url", help="server that crash reports are sent to")
    parser.add_argument("--consent", choices=["always", "ask", "never"], help="may they be sent?")
    return parser.parse_args()


def main() -> None:
    """Install crash reporting, then run the simulation."""
    arguments = _parse_arguments()
    lastwords.install(
        product="victim",
        version=__version__,
        url=arguments.url,
        dump_dir=arguments.dump_dir,
        consent=arguments.consent,
    )
    lastwords.annotate("scenario", arguments.fail or "healthy")

    def before_step(simulation: Simulation) -> None:
        lastwords.annotate("step", simulation.step)
        if arguments.fail and simulation.step == FAILING_STEP:
            FAILURES[arguments.fail](simulation)

    with Simulation() as simulation:
        simulation.run(arguments.steps, before_step)
        mean = simulation.means.get(simulation.step)
    print(f"{arguments.steps} steps, mean temperature {mean:.2f}" if mean else "no steps")


if __name__ == "__main__":
    main()
