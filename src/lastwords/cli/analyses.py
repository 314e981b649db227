"""Analyses for verbs: with downloads where addresses were given, without where not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lastwords.analyze import analyze_dump_json
from lastwords.cli.render.clean import clean
from lastwords.cli.symbol_options import DownloadOptions, shown_progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lastwords.symbols.download import Download, Downloader
    from lastwords.symbols.places import Places

__all__ = ["analyze_at", "downloading"]


def analyze_at(  # noqa: PLR0913  (one parameter per option)
    file: Path,
    places: Places,
    *,
    local_modules: bool = True,
    max_frames: int | None = None,
    insecure_http: bool = False,
    cache_dir: Path | None = None,
) -> bytes:
    """Analyse a minidump with the symbols of these places; returns the core's document.

    What servers failed at goes to stderr.
    """
    if places.servers:
        return _with_downloads(
            file,
            places,
            local_modules=local_modules,
            max_frames=max_frames,
            insecure_http=insecure_http,
            cache_dir=cache_dir,
        )
    return analyze_dump_json(
        file,
        symbols=places.all_paths,
        local_modules=local_modules,
        max_frames=max_frames,
        cache_dir=cache_dir,
    )


def _with_downloads(  # noqa: PLR0913  (one parameter per option)
    file: Path,
    places: Places,
    *,
    local_modules: bool,
    max_frames: int | None,
    insecure_http: bool,
    cache_dir: Path | None,
) -> bytes:
    """Analyse with what servers have; what they failed at goes to stderr."""
    from lastwords.analyze.fetch import analyze_with_downloads  # noqa: PLC0415  (urllib)

    with downloading(places, insecure_http=insecure_http) as (downloader, said):
        document, downloads = analyze_with_downloads(
            file,
            places=places,
            downloader=downloader,
            local_modules=local_modules,
            max_frames=max_frames,
            cache_dir=cache_dir,
        )
        said.extend(downloads)
    return document


@contextmanager
def downloading(
    places: Places, *, insecure_http: bool = False
) -> Iterator[tuple[Downloader, list[Download]]]:
    """Give a downloader, its progress shown; failures in the list go to stderr at the end."""
    from lastwords.symbols.download import Downloader, FileState  # noqa: PLC0415

    options = DownloadOptions()
    downloads: list[Download] = []
    with shown_progress() as progress:
        downloader = Downloader(
            servers=places.servers,
            limits=options.limits(insecure_http=insecure_http),
            parallel=options.parallel,
            progress=progress,
        )
        yield downloader, downloads
    for one in downloads:
        if one.state == FileState.FAILED:
            click.echo(f"not downloaded: {clean(f'{one.url}: {one.reason}')}", err=True)
