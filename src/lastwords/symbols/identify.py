"""What files are: kind and ids, read by the core."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lastwords.symbols.wanted import WantedModule

__all__ = ["SymbolFile", "identify_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolFile:
    """One file and its ids.

    Attributes:
        path: Where it is.
        kind: `elf`, `breakpad`, `pdb`, `pe` or `macho`.
        is_packed: Whether it is packed in a cabinet.
        debug_ids: As Breakpad writes them.
        build_id: ELF only; lower case.
        stamp: Time stamp and size of a PE image.
        names: The file name, then what it calls itself.
        pdb_name: The PDB that a PE image names.
        architecture: `None` when not told.
        has_code: Whether it is the module's own file.
        has_debug_info: Whether it has functions with lines.
    """

    path: str
    kind: str
    is_packed: bool = False
    debug_ids: tuple[str, ...] = ()
    build_id: str | None = None
    stamp: str | None = None
    names: tuple[str, ...] = ()
    pdb_name: str | None = None
    architecture: str | None = None
    has_code: bool = False
    has_debug_info: bool = False

    def is_of(self, module: WantedModule) -> bool:
        """Whether its id is the module's."""
        if self.build_id and module.build_id:
            return self.build_id == module.build_id
        if self.kind == "pe" and self.stamp and module.code_id:
            return self.stamp.lower() == module.code_id.lower()
        debug_id = (module.debug_id or "").upper()
        return bool(debug_id) and debug_id in {one.upper() for one in self.debug_ids}

    def stored_as(self) -> tuple[PurePosixPath, ...]:
        """Where a store keeps it; empty when it has no id."""
        name = self.names[-1] if self.kind == "breakpad" and self.names else self.names[0]
        if self.kind == "elf" and self.build_id:
            places = []
            if self.has_code:
                places.append(PurePosixPath(name, f"elf-buildid-{self.build_id}", name))
            if self.has_debug_info or not self.has_code:
                folder = PurePosixPath(".build-id", self.build_id[:2])
                places.append(folder / f"{self.build_id[2:]}.debug")
            return tuple(places)
        if self.kind == "pe" and self.stamp:
            return (PurePosixPath(self._plain(name), self.stamp, name),)
        if not self.debug_ids:
            return ()
        if self.kind == "breakpad":
            stem = name[:-4] if name.lower().endswith(".pdb") else name
            return (PurePosixPath(name, self.debug_ids[0], f"{stem}.sym"),)
        return tuple(PurePosixPath(self._plain(name), one, name) for one in self.debug_ids)

    def _plain(self, name: str) -> str:
        """`app.pdb` for the cabinet `app.pd_`."""
        if not (self.is_packed and name.endswith("_")):
            return name
        last = {"pd": "b", "ex": "e", "dl": "l", "sy": "s"}.get(name[-3:-1].lower(), "")
        return name[:-1] + last


def identify_files(paths: Iterable[Path]) -> tuple[SymbolFile | None, ...]:
    """Read kinds and ids of files; `None` stands for what is no symbol file, or cannot be read."""
    from lastwords import _native as core  # noqa: PLC0415  (parsing places needs no core)

    texts = [os.fspath(path) for path in paths]
    found = json.loads(core.identify_symbol_files(texts))
    return tuple(None if one is None else _decode(one) for one in found)


def _decode(found: dict[str, object]) -> SymbolFile:
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    return SymbolFile(**{**found, **lists})  # type: ignore[arg-type]  # the core's document
