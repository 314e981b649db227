"""`lastwords convert`: from one kind of crash file to another."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from lastwords.cli.render.clean import clean
from lastwords.cli.spools import size_text

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords convert crash.dmp core.crash && gdb ./program core.crash
  lastwords convert core.4711 crash.dmp
  lastwords convert core.4711 small.dmp --kind mini
  lastwords convert logcat.txt crash.dmp

Exit status: 0 done, 1 the result could not be written, 2 usage, 3 IN is not readable or of another
kind, 5 something could not be had under --strict.
"""


@click.command(epilog=_EPILOG)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--kind",
    default="full",
    show_default=True,
    metavar="KIND",
    help="What a minidump made of a core holds: full, mini, miniplus, triage or custom:FLAGS.",
)
@click.option("--strict", is_flag=True, help="End with status 5 when something could not be had.")
@click.option("--json", "is_json", is_flag=True, help="Print what was done as JSON.")
def command(*, source: Path, target: Path, kind: str, strict: bool, is_json: bool) -> None:
    """Convert the crash file IN into OUT; what IN is, its first bytes tell.

    A minidump of Linux (x86-64, arm64) becomes an ELF core for gdb. A core of x86-64 becomes
    a minidump with all its memory, or of another kind; one of i386, ARM, AArch64 or MIPS one
    with all its memory. The first microdump in a log becomes a minidump.
    """
    from lastwords.analyze.convert import convert  # noqa: PLC0415

    done = convert(source, target, dump_kind=kind)
    if is_json:
        click.echo(json.dumps({**asdict(done), "path": str(done.path)}, indent=2))
    else:
        threads = "1 thread" if done.threads == 1 else f"{done.threads} threads"
        size = size_text(done.size_bytes)
        click.echo(f"{clean(str(done.path))}: {done.target_kind}, {threads}, {size}")
        for note in done.notes:
            click.echo(f"not had: {clean(note)}", err=True)
    if strict and done.notes:
        sys.exit(5)
