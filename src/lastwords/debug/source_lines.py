"""Lines of source files, looked for along the source path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.symbols.lookup import source_checksums, source_links
from lastwords.symbols.source_files import has_checksum
from lastwords.symbols.source_path import SourcePath, parse_source_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = ["find_source", "lines_around"]

_MAX_BYTES = 16 << 20


def find_source(debugger: Debugger, frame: Frame) -> Path | None:
    """A frame's source file: in the source path, at its own place, or downloaded.

    In the folders of the path it is looked for by ever less of its own path; downloads are from
    where the module says.
    """
    file = frame.file or ""
    path = parse_source_path([debugger.source_path])
    parts = [part for part in re.split(r"[\\/]", file) if part not in {"", ".", ".."}]
    if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
        parts = parts[1:]
    for folder in path.folders:
        for start in range(len(parts)):
            candidate = folder.joinpath(*parts[start:])
            if candidate.is_file():
                return candidate
    own = Path(file)
    if debugger.symbols.local_modules and own.is_absolute() and own.is_file():
        return own
    return _downloaded(debugger, frame, path)


def _downloaded(debugger: Debugger, frame: Frame, path: SourcePath) -> Path | None:
    facts = frame.module.facts if frame.module else {}
    if path.downloads is None or facts.get("kind") != "pdb" or frame.file is None:
        return None
    from lastwords.symbols.source_download import SourceDownloads  # noqa: PLC0415  (urllib)

    url = source_links(Path(facts["symbols"])).url_of(frame.file)
    insecure_http = debugger.symbols.insecure_http
    downloads = SourceDownloads(root=path.downloads, insecure_http=insecure_http)
    found = downloads.get(url) if url else None
    checksum = source_checksums(Path(facts["symbols"]), [frame.file]).get(frame.file)
    is_it = found and (checksum is None or has_checksum(found, checksum))
    return found if is_it else None


def lines_around(debugger: Debugger, frame: Frame, *, before: int, after: int) -> Iterable[str]:
    """The line that a frame stands at, and its neighbours, with `>` before it."""
    if frame.file is None or not frame.line:
        return
    path = find_source(debugger, frame)
    if path is None or path.stat().st_size > _MAX_BYTES:
        return
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    first = max(frame.line - before, 1)
    for number in range(first, min(frame.line + after, len(lines)) + 1):
        mark = ">" if number == frame.line else " "
        yield f"{mark}{number:5d}: {lines[number - 1]}"
