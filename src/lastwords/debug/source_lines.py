"""Lines of source files, looked for along the source path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = ["find_source", "lines_around", "source_folders"]

_MAX_BYTES = 16 << 20


def source_folders(source_path: str) -> list[Path]:
    """The folders of a source path; `srv*` and empty parts are passed over."""
    parts = [part.strip() for part in source_path.split(";")]
    return [Path(part) for part in parts if part and not part.lower().startswith("srv*")]


def find_source(debugger: Debugger, file: str) -> Path | None:
    """A source file: in the folders of the source path by ever less of its own path, then at it."""
    parts = [part for part in re.split(r"[\\/]", file) if part not in {"", ".", ".."}]
    if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
        parts = parts[1:]
    for folder in source_folders(debugger.source_path):
        for start in range(len(parts)):
            candidate = folder.joinpath(*parts[start:])
            if candidate.is_file():
                return candidate
    own = Path(file)
    return own if debugger.symbols.local_modules and own.is_absolute() and own.is_file() else None


def lines_around(debugger: Debugger, frame: Frame, *, before: int, after: int) -> Iterable[str]:
    """The line that a frame stands at, and its neighbours, with `>` before it."""
    if frame.file is None or not frame.line:
        return
    path = find_source(debugger, frame.file)
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
