"""Symbol paths as Windows' debuggers write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["local_paths", "notes_of"]


def _parts(path: str) -> Iterable[tuple[str, bool]]:
    """The places of a symbol path, and whether they are on the network."""
    for element in path.split(";"):
        pieces = [piece.strip() for piece in element.strip().split("*")]
        if pieces and pieces[0].lower() in {"srv", "cache", "symsrv"}:
            pieces = [piece for piece in pieces[1:] if not piece.lower().endswith("symsrv.dll")]
        for piece in pieces:
            if piece:
                yield piece, "://" in piece


def local_paths(path: str) -> list[Path]:
    """The folders and files of a symbol path that can be read here, in their order."""
    found: list[Path] = []
    for piece, is_remote in _parts(path):
        if not is_remote and Path(piece) not in found:
            found.append(Path(piece))
    return found


def notes_of(path: str) -> Iterable[str]:
    """What of a symbol path is not used, and why."""
    for piece, is_remote in _parts(path):
        if is_remote:
            yield f"*** {piece}: not asked; no symbols are downloaded here"
        elif not Path(piece).exists():
            yield f"*** {piece}: there is no such file or folder"
