"""Source paths: folders, and `srv*` for the addresses that PDBs name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.symbols.places import default_cache

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SourcePath", "parse_source_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePath:
    """Where sources are looked for.

    Attributes:
        folders: In the order given.
        downloads: Folder for what is downloaded; `None` = nothing may be.
    """

    folders: tuple[Path, ...] = ()
    downloads: Path | None = None


def parse_source_path(texts: Iterable[str]) -> SourcePath:
    """Read folders, `srv*` and `srv*FOLDER`, with `;` between where there is no such folder."""
    folders: list[Path] = []
    downloads: Path | None = None
    for text in texts:
        for part in [text] if Path(text).exists() else text.split(";"):
            word, star, rest = part.strip().partition("*")
            if star and word.lower() == "srv":
                downloads = downloads or (Path(rest) if rest else default_cache())
            elif part.strip():
                folders.append(Path(part.strip()))
    return SourcePath(folders=tuple(dict.fromkeys(folders)), downloads=downloads)
