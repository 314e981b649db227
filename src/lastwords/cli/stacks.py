"""`lastwords stacks`: where every thread stands. The verb itself is native (`crates/stacks`).

The executable `lastwords` runs it without any Python; this module is for `python -m lastwords`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click

from lastwords.cli.kinds import monitor_path
from lastwords.errors import DependencyError

__all__ = ["command"]

_FRONT_END = "lastwords"


class _NativeVerb(click.Command):
    """A verb whose options and help are the executable's."""

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002  (click's signature)
        asked = [_front_end(), "stacks", "--help"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.rstrip()


def _front_end() -> str:
    """Return the executable `lastwords`, which stands beside the monitor's."""
    path = Path(monitor_path()).with_name(_FRONT_END)
    if not path.is_file():
        message = f"the executable {path} is not there"
        hint = "install again: pip install --force-reinstall lastwords"
        raise DependencyError("front_end_missing", message, hint)
    return str(path)


@click.command(
    cls=_NativeVerb,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(*, words: tuple[str, ...]) -> None:
    """Show where every thread of a process, a core file or a dump stands."""
    front_end = _front_end()
    os.execv(front_end, [_FRONT_END, "stacks", *words])  # noqa: S606  (an argument list, no shell)
