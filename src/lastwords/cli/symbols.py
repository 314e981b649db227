"""`lastwords symbols`: find, download, keep and convert what names functions and lines."""

from __future__ import annotations

import click

from lastwords.cli.symbol_files import add, convert, harvest, lookup
from lastwords.cli.symbol_search import fetch, find, missing

__all__ = ["command"]


@click.group(epilog="Example: lastwords symbols missing crash.dmp")
def command() -> None:
    """Find, download, keep and convert what names functions and lines."""


for _verb in (add, convert, fetch, find, harvest, lookup, missing):
    command.add_command(_verb)
