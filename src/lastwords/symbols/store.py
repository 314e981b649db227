"""Stores of symbol files: every file under its id, in the layout of its kind."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastwords.errors import SymbolsError
from lastwords.symbols.identify import SymbolFile, identify_files

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AddedFile", "add_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFile:
    """A file and where the store keeps it."""

    source: Path
    identity: SymbolFile
    places: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "source": str(self.source),
            "kind": self.identity.kind,
            "build_id": self.identity.build_id,
            "debug_ids": list(self.identity.debug_ids),
            "stamp": self.identity.stamp,
            "places": [str(place) for place in self.places],
        }


def add_files(files: Iterable[Path], store: Path) -> tuple[AddedFile, ...]:
    """Copy files into a store; nothing is copied when one of them cannot be.

    Raises:
        SymbolsError: `symbol_file_not_readable`, `symbol_file_unusable`, `symbols_not_written`.
    """
    paths = list(files)
    added = []
    for path, identity in zip(paths, identify_files(paths), strict=True):
        if identity is None:
            raise _unusable(path)
        kept_as = identity.stored_as()
        if not kept_as:
            raise SymbolsError(
                "symbol_file_unusable",
                f"{path}: this {identity.kind} file has no id, so it could not be found again",
                "link with --build-id, or with /DEBUG",
            )
        places = tuple(store / place for place in kept_as)
        added.append(AddedFile(source=path, identity=identity, places=places))
    for one in added:
        for place in one.places:
            _copy(one.source, place)
    return tuple(added)


def _unusable(path: Path) -> SymbolsError:
    if not path.is_file() or not os.access(path, os.R_OK):
        return SymbolsError(
            "symbol_file_not_readable",
            f"{path}: there is no such file, or it may not be read",
            f"check the path: ls -l {path}",
        )
    return SymbolsError(
        "symbol_file_unusable",
        f"{path}: this is no symbol file",
        "an ELF, PE, PDB, Mach-O or Breakpad .sym file is expected",
    )


def _copy(source: Path, place: Path) -> None:
    """Copy whole or not at all."""
    try:
        if place.exists() and place.samefile(source):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(prefix=".lastwords-", dir=place.parent)
        try:
            os.close(descriptor)
            shutil.copyfile(source, scratch)
            Path(scratch).chmod(0o644)
            Path(scratch).replace(place)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SymbolsError(
            "symbols_not_written",
            f"{place}: {error.strerror or error}",
            "give a folder that can be written: --store DIR",
        ) from error
