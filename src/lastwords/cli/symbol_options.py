"""The options by which verbs are told where symbols are, and what becomes of them."""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.symbols import default_symbol_cache
from lastwords.symbols.places import Places, parse_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lastwords.symbols.download import Progress
    from lastwords.symbols.http_get import GetLimits

__all__ = [
    "DownloadOptions",
    "cache_options",
    "download_options",
    "places_of",
    "shown_progress",
    "symbol_options",
]

SYMBOLS_HELP = (
    "Symbol source: file, folder, address of a server, srv*CACHE*URL, or _NT_SYMBOL_PATH for that"
    " variable. Matched by debug id. May be repeated."
)


def symbol_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--symbols`, `--debuginfod` and `--insecure-http`."""
    options = (
        click.option("--symbols", multiple=True, metavar="SOURCE", help=SYMBOLS_HELP),
        click.option(
            "--debuginfod", is_flag=True, help="Ask the servers of DEBUGINFOD_URLS as well."
        ),
        click.option(
            "--insecure-http",
            is_flag=True,
            help="Allow http:// addresses of other machines; anybody on the way can change files.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--cache-dir` and `--no-cache`; `cache_dir` is the folder, or `None` for no cache."""

    @functools.wraps(command)
    def with_folder(
        *arguments: object, cache_dir: Path | None, no_cache: bool, **options: object
    ) -> object:
        folder = None if no_cache else cache_dir or default_symbol_cache()
        return command(*arguments, cache_dir=folder, **options)

    with_folder = click.option(
        "--no-cache", is_flag=True, help="Neither use nor keep answers about symbols."
    )(with_folder)
    return click.option(
        "--cache-dir",
        metavar="PATH",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep answers about symbols here. "
        "Default: LASTWORDS_CACHE_DIR, else the user's cache.",
    )(with_folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """Limits of downloads, as given."""

    max_size_mib: int = 2048
    timeout_s: float = 30.0
    parallel: int = 4

    def limits(self, *, insecure_http: bool) -> GetLimits:
        """As the downloader wants them."""
        from lastwords.symbols.http_get import GetLimits  # noqa: PLC0415  (60 ms of urllib)

        return GetLimits(
            max_bytes=self.max_size_mib << 20, idle_s=self.timeout_s, insecure_http=insecure_http
        )


def download_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the limits of downloads."""
    options = (
        click.option(
            "--max-size",
            "max_size_mib",
            type=click.IntRange(1),
            default=2048,
            show_default=True,
            metavar="MIB",
            help="Refuse larger files.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(0.1),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="Give up on a server that is silent for so long.",
        ),
        click.option(
            "--parallel",
            type=click.IntRange(1, 32),
            default=4,
            show_default=True,
            metavar="N",
            help="Files at a time.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def places_of(symbols: tuple[str, ...], *, debuginfod: bool, insecure_http: bool) -> Places:
    """Read the options of `symbol_options`; every path must be there.

    Raises:
        SymbolsError: A source is not there, or in no known form.
    """
    from lastwords.symbols.sources import SymbolSources  # noqa: PLC0415

    places = parse_places(symbols, debuginfod=debuginfod, insecure_http=insecure_http)
    SymbolSources(paths=places.paths).check()
    return places


@contextmanager
def shown_progress() -> Iterator[Progress | None]:
    """Show downloads on stderr while they run, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from lastwords.cli.render.downloads import DownloadBars  # noqa: PLC0415  (40 ms of rich)

    with DownloadBars() as bars:
        yield bars
