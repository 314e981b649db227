"""Write the pages that are made from code: `docs/reference/` and the private formats (`make docs`).

A test compares every page with what this module makes of the code, so none can drift.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lastwords import errors
from lastwords.cli.main import VERBS
from lastwords.config import settings_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["REFERENCE", "write_pages"]

_HERE = Path(__file__).parent
_WIDTH = 100


def cli_reference() -> str:
    """The text of `docs/reference/cli.md`: the help of every verb."""
    return "\n".join(["# Command line", "", *_cli_lines()])


def _cli_lines() -> Iterator[str]:
    yield "What `lastwords VERB --help` prints. Data goes to stdout, everything else to stderr."
    yield "Exit status: 0 done, 1 failed, 2 usage, 3 input not readable, 4 permission or missing"
    yield "dependency, 5 partial result under `--strict`."
    for verb in sorted(VERBS):
        module = importlib.import_module(f"lastwords.cli.{verb}")
        yield from _help_of(f"lastwords {verb}", module.command, level=2)
    yield ""


def _help_of(name: str, command: click.Command, *, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=name, terminal_width=_WIDTH)
    yield f"\n{'#' * level} {name}\n\n```"
    yield command.get_help(context)
    yield "```"
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from _help_of(f"{name} {inner}", command.commands[inner], level=level + 1)


def errors_reference() -> str:
    """The text of `docs/reference/errors.md`: every stable code."""
    lines = ["# Errors", "", "Codes are stable: programs may match on them.", ""]
    lines += ["| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in sorted(errors.CODES.items())]
    return "\n".join([*lines, ""])


def fault_matrix() -> str:
    """The text of `docs/reference/fault-matrix.md`: the ways to die that the tests know."""
    path = _HERE.parent / "tests/integration/ways.py"
    spec = importlib.util.spec_from_file_location("ways", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    ways = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = ways
    spec.loader.exec_module(ways)
    text: str = ways.reference()
    return text


REFERENCE: dict[str, Callable[[], str]] = {
    "cli.md": cli_reference,
    "errors.md": errors_reference,
    "fault-matrix.md": fault_matrix,
    "settings.md": settings_reference,
}
"""Page of `docs/reference/` → what makes its text."""


def write_pages() -> None:
    """Write all pages of the reference."""
    for name, make in REFERENCE.items():
        (_HERE / "reference" / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    from formats.from_source import write_pages as write_formats

    write_formats()
    write_pages()
