"""`lastwords analyze`: read a minidump and print what happened."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lastwords.analyze import analyze_dump_json, decode_analysis
from lastwords.cli.render.json import write_document
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.symbols import default_symbol_cache

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords analyze crash.dmp
  lastwords analyze crash.dmp --symbols build/symbols --threads all
  lastwords analyze crash.dmp --json | jq .crash_info

Exit status: 0 done, 2 usage, 3 the file is not readable, 5 partial result under --strict.
"""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "is_json", is_flag=True, help="Print the analysis document instead.")
@click.option(
    "--symbols",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Symbol source: file or folder, matched by debug id. May be repeated.",
)
@click.option(
    "--no-local-modules",
    is_flag=True,
    help="Do not read the module files that the dump names from this machine.",
)
@click.option(
    "--cache-dir",
    metavar="PATH",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep answers about symbols here. Default: LASTWORDS_CACHE_DIR, else the user's cache.",
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep answers about symbols.")
@click.option(
    "--threads",
    "stacks",
    type=click.Choice([choice.value for choice in StackChoice]),
    default=StackChoice.SUMMARY.value,
    show_default=True,
    help="Stacks to show: of all threads, of the crashing one, or that and a line for each other.",
)
@click.option("--all-frames", is_flag=True, help="Show the interpreter's call plumbing too.")
@click.option("--no-fold", is_flag=True, help="Show every round of a recursion, not only one.")
@click.option("--handles", is_flag=True, help="List open files and other handles.")
@click.option(
    "--max-frames",
    type=click.IntRange(1, 32_768),
    metavar="N",
    help="Keep N frames of one thread, newest and oldest half each.  [default: 4096]",
)
@click.option("--strict", is_flag=True, help="End with status 5 when something could not be had.")
def command(  # noqa: PLR0913  (one parameter per option)
    *,
    file: Path,
    is_json: bool,
    symbols: tuple[Path, ...],
    no_local_modules: bool,
    cache_dir: Path | None,
    no_cache: bool,
    stacks: str,
    all_frames: bool,
    no_fold: bool,
    handles: bool,
    max_frames: int | None,
    strict: bool,
) -> None:
    """Read the minidump FILE and print what happened.

    Shows the crash reason, the crashing thread's stack with Python and native frames merged, the
    other threads, the modules with their symbols, and what could not be had.
    """
    document = analyze_dump_json(
        file,
        symbols=symbols,
        local_modules=not no_local_modules,
        max_frames=max_frames,
        cache_dir=None if no_cache else cache_dir or default_symbol_cache(),
    )
    if is_json:
        write_document(document)
    else:
        from lastwords.cli.render.text import write_analysis  # noqa: PLC0415  (40 ms of rich)

        options = TextOptions(
            stacks=StackChoice(stacks),
            is_plumbing_shown=all_frames,
            is_folded=not no_fold,
            are_handles_shown=handles,
        )
        write_analysis(decode_analysis(document), options)
    if strict and decode_analysis(document).is_partial:
        sys.exit(5)
