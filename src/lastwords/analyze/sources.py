"""What the symbols of the modules on the stacks say of source files."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.symbols.lookup import source_checksums, source_links

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["source_checksums_of", "source_urls_of"]

_WITH_CHECKSUMS = ("dwarf", "pdb")


def source_checksums_of(document: bytes) -> dict[str, str]:
    """Source file → checksum, for the native frames of an analysis document."""
    found: dict[str, str] = {}
    for path, names in _files_of(document).items():
        found.update(source_checksums(path, sorted(names)))
    return found


def source_urls_of(document: bytes) -> dict[str, str]:
    """Source file → address, for the native frames whose PDB names one."""
    found: dict[str, str] = {}
    for path, names in _files_of(document, kinds=("pdb",)).items():
        links = source_links(path)
        urls = {name: links.url_of(name) for name in names}
        found.update((name, url) for name, url in urls.items() if url)
    return found


def _files_of(document: bytes, kinds: tuple[str, ...] = _WITH_CHECKSUMS) -> Mapping[Path, set[str]]:
    """Symbol file → source files of the frames in it."""
    analysis = json.loads(document)
    symbols = {
        module.get("filename"): Path(module["symbols"]["path"])
        for module in analysis.get("modules") or ()
        if (module.get("symbols") or {}).get("kind") in kinds
    }
    files: defaultdict[Path, set[str]] = defaultdict(set)
    for thread in analysis.get("threads") or ():
        for frame in thread.get("frames") or ():
            path = symbols.get(frame.get("module"))
            if path is None or frame.get("kind") != "native":
                continue
            for place in (frame, *(frame.get("inlines") or ())):
                if place.get("file"):
                    files[path].add(place["file"])
    return files
