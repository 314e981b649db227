"""The checksums of the source files on the stacks, as the modules' symbols have them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from lastwords.symbols.lookup import source_checksums

__all__ = ["source_checksums_of"]

_WITH_CHECKSUMS = ("dwarf", "pdb")


def source_checksums_of(document: bytes) -> dict[str, str]:
    """Source file → checksum, for the native frames of an analysis document."""
    analysis = json.loads(document)
    symbols = {
        module.get("filename"): Path(module["symbols"]["path"])
        for module in analysis.get("modules") or ()
        if (module.get("symbols") or {}).get("kind") in _WITH_CHECKSUMS
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
    found: dict[str, str] = {}
    for path, names in files.items():
        found.update(source_checksums(path, sorted(names)))
    return found
