"""The arguments and options of `lastwords analyze`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.cli.render.options import StackChoice
from lastwords.cli.symbol_options import cache_options, symbol_options

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AnalyzeArguments", "analyze_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeArguments:
    """What was given, as the options below name it."""

    files: tuple[Path, ...]
    is_json: bool
    symbols: tuple[str, ...]
    debuginfod: bool
    insecure_http: bool
    no_local_modules: bool
    cache_dir: Path | None
    stacks: str
    all_frames: bool
    no_fold: bool
    handles: bool
    has_registers: bool
    has_memory: bool
    is_brief: bool
    in_app: tuple[str, ...]
    not_in_app: tuple[str, ...]
    max_frames: int | None
    source_paths: tuple[str, ...]
    json_lines: bool
    jobs: int | None
    as_completed: bool
    timeout_s: float
    max_memory_mib: int
    strict: bool


_FILES = click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)

_SYMBOLS = (
    symbol_options,
    click.option(
        "--no-local-modules",
        is_flag=True,
        help="Do not read the module files that the dump names from this machine.",
    ),
    cache_options,
)

_PAGE = (
    click.option(
        "--brief",
        "is_brief",
        is_flag=True,
        help="Show a few lines only: the reason, the place, the in-app frames.",
    ),
    click.option(
        "--threads",
        "stacks",
        type=click.Choice([choice.value for choice in StackChoice]),
        default=StackChoice.SUMMARY.value,
        show_default=True,
        help="Stacks to show: of all threads, of the crashing one, or that and a line for each "
        "other.",
    ),
    click.option(
        "--registers",
        "has_registers",
        is_flag=True,
        help="Show the registers of the crashing thread, and what is known of them in each frame.",
    ),
    click.option(
        "--memory",
        "has_memory",
        is_flag=True,
        help="Show the memory and code around the fault, the instruction and the stack's top.",
    ),
    click.option(
        "--in-app",
        multiple=True,
        metavar="PATTERN",
        envvar="LASTWORDS_IN_APP",
        show_envvar=True,
        help="Emphasise frames of this module, file or function, and no others. May be repeated.",
    ),
    click.option(
        "--not-in-app",
        multiple=True,
        metavar="PATTERN",
        envvar="LASTWORDS_NOT_IN_APP",
        show_envvar=True,
        help="Never emphasise frames of this module, file or function. May be repeated.",
    ),
    click.option("--all-frames", is_flag=True, help="Show the interpreter's call plumbing too."),
    click.option("--no-fold", is_flag=True, help="Show every round of a recursion, not only one."),
    click.option("--handles", is_flag=True, help="List open files and other handles."),
    click.option(
        "--max-frames",
        type=click.IntRange(1, 32_768),
        metavar="N",
        help="Keep N frames of one thread, newest and oldest half each.  [default: 4096]",
    ),
    click.option(
        "--source-path",
        "source_paths",
        multiple=True,
        metavar="DIR",
        help="Show the source lines of in-app frames whose files are below DIR; srv* downloads "
        "them from the addresses in PDBs (Source Link, source servers). May be repeated.",
    ),
)

_BULK = (
    click.option(
        "--json-lines",
        is_flag=True,
        help="Print one JSON document a line for each FILE, errors too.",
    ),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(1, 256),
        metavar="N",
        help="Analyse N of many files at a time.  [default: the number of processors]",
    ),
    click.option(
        "--as-completed",
        is_flag=True,
        help="Print results of many files when they are there, not in the order given.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(0.01),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Give up on one of many files after so long.",
    ),
    click.option(
        "--max-memory",
        "max_memory_mib",
        type=click.IntRange(64),
        default=4096,
        show_default=True,
        metavar="MIB",
        help="Give up on one of many files that needs more memory.",
    ),
)


def analyze_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all of them."""
    options = (
        _FILES,
        click.option(
            "--json", "is_json", is_flag=True, help="Print the analysis document instead."
        ),
        *_SYMBOLS,
        *_PAGE,
        *_BULK,
        click.option(
            "--strict", is_flag=True, help="End with status 5 when something could not be had."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
