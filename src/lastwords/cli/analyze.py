"""`lastwords analyze`: read a minidump and print what happened."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lastwords.analyze import decode_analysis
from lastwords.cli.analyses import analyze_at
from lastwords.cli.render.json import write_document
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.symbol_options import places_of, symbol_options
from lastwords.symbols import default_symbol_cache
from lastwords.symbols.source_files import SourceFiles
from lastwords.symbols.source_path import parse_source_path

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords analyze crash.dmp
  lastwords analyze crash.dmp --symbols build/symbols --threads all
  lastwords analyze crash.dmp --symbols https://debuginfod.debian.net
  lastwords analyze crash.dmp --source-path ~/src/app
  lastwords analyze crash.dmp --json | jq .crash_info

Exit status: 0 done, 2 usage, 3 the file is not readable, 5 partial result under --strict.
"""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "is_json", is_flag=True, help="Print the analysis document instead.")
@symbol_options
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
@click.option(
    "--source-path",
    "source_paths",
    multiple=True,
    metavar="DIR",
    help="Show the source lines of frames whose files are below DIR; srv* downloads them from the "
    "addresses in PDBs (Source Link, source servers). May be repeated.",
)
@click.option("--strict", is_flag=True, help="End with status 5 when something could not be had.")
def command(  # noqa: PLR0913  (one parameter per option)
    *,
    file: Path,
    is_json: bool,
    symbols: tuple[str, ...],
    debuginfod: bool,
    insecure_http: bool,
    no_local_modules: bool,
    cache_dir: Path | None,
    no_cache: bool,
    stacks: str,
    all_frames: bool,
    no_fold: bool,
    handles: bool,
    max_frames: int | None,
    source_paths: tuple[str, ...],
    strict: bool,
) -> None:
    """Read the minidump FILE and print what happened.

    Shows the crash reason, the crashing thread's stack with Python and native frames merged, the
    other threads, the modules with their symbols, and what could not be had.

    Nothing is downloaded unless --symbols gives an address, --debuginfod, or --source-path srv*.
    """
    places = places_of(symbols, debuginfod=debuginfod, insecure_http=insecure_http)
    document = analyze_at(
        file,
        places,
        local_modules=not no_local_modules,
        max_frames=max_frames,
        insecure_http=insecure_http,
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
            sources=_sources(document, source_paths, insecure_http=insecure_http),
        )
        write_analysis(decode_analysis(document), options)
    if strict and decode_analysis(document).is_partial:
        sys.exit(5)


def _sources(document: bytes, texts: tuple[str, ...], *, insecure_http: bool) -> SourceFiles | None:
    """The source files of the frames, those with a checksum in their module's symbols checked."""
    if not texts:
        return None
    from lastwords.analyze.sources import source_checksums_of, source_urls_of  # noqa: PLC0415

    path = parse_source_path(texts)
    if path.downloads is None:
        return SourceFiles(path.folders, source_checksums_of(document))
    from lastwords.symbols.source_download import SourceDownloads  # noqa: PLC0415  (urllib)

    urls = source_urls_of(document)
    downloads = SourceDownloads(root=path.downloads, insecure_http=insecure_http)
    return SourceFiles(
        path.folders,
        source_checksums_of(document),
        lambda file: downloads.get(urls[file]) if file in urls else None,
    )
