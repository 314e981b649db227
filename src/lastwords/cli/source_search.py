"""The source files that `--source-path` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.analyze.sources import source_checksums_of, source_urls_of
from lastwords.symbols.source_files import SourceFiles
from lastwords.symbols.source_path import parse_source_path

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["source_files"]


def source_files(document: bytes, texts: Iterable[str], *, insecure_http: bool) -> SourceFiles:
    """The source files of the frames, those with a checksum in their module's symbols checked."""
    path = parse_source_path(texts)
    checksums = source_checksums_of(document)
    if path.downloads is None:
        return SourceFiles(path.folders, checksums)
    from lastwords.symbols.source_download import SourceDownloads  # noqa: PLC0415  (urllib)

    urls = source_urls_of(document)
    downloads = SourceDownloads(root=path.downloads, insecure_http=insecure_http)
    return SourceFiles(
        path.folders,
        checksums,
        download=lambda file: downloads.get(urls[file]) if file in urls else None,
    )
