"""`lastwords run`: start a program and dump it when a signal kills it."""

from __future__ import annotations

import os
import signal
import sys

import click

from lastwords.cli.kinds import kind_options, make_plan, monitor_path

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords run -- ./simulate --steps 1000
  lastwords run -ma -o dumps/ -- python app.py
  lastwords run -o 'nightly_PROCESSNAME_EXCEPTIONCODE_YYMMDD_HHMMSS.dmp' -- make test

Exit status: the command's own; when a signal killed it, lastwords dies of the same one (a shell
shows 128 + its number). Else 126 the command cannot be executed, 127 there is none of that name,
1 to 4 it was not started at all.
"""


@click.command(epilog=_EPILOG, context_settings={"allow_interspersed_args": False})
@kind_options
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help="Where dumps go, with the words of lastwords dump.  "
    "[default: PROCESSNAME_YYMMDD_HHMMSS.dmp in the current folder]",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Dump at most this many dying processes.",
)
@click.option("--no-children", is_flag=True, help="Do not watch processes that the command starts.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr when something dies.")
@click.argument("words", metavar="[--] COMMAND [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
def command(  # noqa: PLR0913  (one parameter per option)
    *,
    words: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    count: int,
    no_children: bool,
    quiet: bool,
) -> None:
    """Start COMMAND, and write a dump when it or a process it starts dies of a signal.

    The program needs to know nothing of lastwords. A dump is written at the moment when SEGV, ABRT,
    BUS, FPE, ILL, TRAP, SYS, QUIT, XCPU or XFSZ is about to kill: handlers of its own come first.
    Terminal, input, output and job control are the program's own, and its end is ours.
    """
    if not words:
        raise click.UsageError("there is no command to run: lastwords run -- COMMAND")
    plan = make_plan(output, is_overwriting=overwrite)
    told = plan.to_json(count=count, is_quiet=quiet, is_without_children=no_children)
    monitor = monitor_path()
    # Python ignores it from its start on, and the program would inherit that.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    os.execv(monitor, ["lastwords-monitor", "run", told, "--", *words])  # noqa: S606
