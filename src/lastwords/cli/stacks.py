"""`lastwords stacks`: where every thread stands. The verb itself is native (`crates/stacks`).

The executable `lastwords` runs it without any Python; this module is for `python -m lastwords`, and
downloads symbols from servers first where `--symbols` gives one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import click

from lastwords.cli.kinds import monitor_path
from lastwords.cli.symbol_options import places_of
from lastwords.errors import DependencyError

__all__ = ["command"]

_FRONT_END = "lastwords"
_INSECURE = "--insecure-http"
_PARTIAL = 5
"""Status under `--strict`."""


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
    with_files = _with_downloaded(front_end, words)
    os.execv(front_end, [_FRONT_END, "stacks", *with_files])  # noqa: S606  (no shell)


def _with_downloaded(front_end: str, words: tuple[str, ...]) -> list[str]:
    """The words, with folders in the place of servers that were asked for what the stacks lack."""
    symbols, rest = _split(words)
    insecure_http = _INSECURE in rest
    places = places_of(symbols, debuginfod=False, insecure_http=insecure_http)
    if not places.servers:
        return list(words)
    from lastwords.analyze.fetch import with_downloads  # noqa: PLC0415  (urllib)
    from lastwords.cli.analyses import downloading  # noqa: PLC0415

    def with_paths() -> list[str]:
        there = [str(path) for path in places.all_paths if path.exists()]
        return [*(f"--symbols={path}" for path in there), *rest]

    def analyze() -> bytes:
        asked = [front_end, "stacks", "--native", "--json", *with_paths()]
        done = subprocess.run(asked, stdout=subprocess.PIPE, check=False)
        if done.returncode not in {0, _PARTIAL}:
            sys.exit(done.returncode)
        return done.stdout

    with downloading(places, insecure_http=insecure_http) as (downloader, said):
        said.extend(with_downloads(analyze, downloader)[1])
    return with_paths()


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The values of `--symbols`, and all other words."""
    symbols: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--symbols":
            symbols.extend(islice(left, 1))
        elif word.startswith("--symbols="):
            symbols.append(word.partition("=")[2])
        else:
            rest.append(word)
    return tuple(symbols), rest
