"""The `lastwords` command: finds the verb, maps errors to exit statuses.

Verbs are imported only when they are called, so `lastwords analyze` does not pay for the server.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from lastwords.errors import LastwordsError

__all__ = ["VERBS", "run"]

_HOLD_NOTHING = ("analyze",)
"""Verbs that are over so soon that neither cycles of objects need collecting (4 ms) nor the
interpreter needs clearing away when they are done (10 ms)."""

_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

VERBS: dict[str, str] = {
    "analyze": "Read a minidump and print what happened.",
    "convert": "Convert minidumps to cores, cores and microdumps to minidumps.",
    "debug": "Take commands in cdb's language on a minidump, in a prompt or a script.",
    "demo": "Crash a sample program three ways and lead the reports to a web page.",
    "dump": "Dump a running process, which goes on.",
    "issues": "List the issues of a server, ranked by installations hit.",
    "reports": "List the reports of a server.",
    "run": "Start a program and dump it when a signal kills it.",
    "send": "Deliver the pending reports of this machine.",
    "serve": "Run the server that collects, groups and shows reports.",
    "signature": "Explain how a dump or report is grouped.",
    "stacks": "Show where every thread of a process, a core file or a dump stands.",
    "symbols": "Find, download, keep and convert what names functions and lines.",
    "spool": "List, show and manage the reports on this machine.",
}
"""Verb → one line of help. `lastwords.cli.<verb>` holds a click command named `command`."""


class _LazyVerbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"lastwords.cli.{cmd_name}")
        command = module.command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))


@click.group(cls=_LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lastwords")
def _lastwords() -> None:
    """Crash reports for Python applications and the native code inside them.

    Exit status: 0 done, 1 failed, 2 usage, 3 input not readable, 4 permission or missing
    dependency, 5 partial result under --strict.
    """


def run() -> None:
    """Run the command line and end the process with its exit status."""
    _write_whatever_the_terminal_can_show()
    is_short = len(sys.argv) > 1 and sys.argv[1] in _HOLD_NOTHING
    if is_short:
        gc.disable()
    try:
        _lastwords.main(prog_name="lastwords", standalone_mode=True)
    except SystemExit as end:
        if is_short and isinstance(end.code, int):
            _end_at_once(end.code)
        raise
    except LastwordsError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE or error.filename is not None:
            raise
        _end_without_output(error)


def _end_at_once(status: int) -> None:
    """End without the interpreter's clean-up; comes back when output cannot be written."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(status)


def _write_whatever_the_terminal_can_show() -> None:
    """Escape a character that the encoding of stdout lacks, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _end_without_output(error: OSError) -> NoReturn:
    """Say that stdout takes no more; what it still holds is dropped, else Python tries again."""
    click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
    click.echo("hint: write it to a disk with free space", err=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)
