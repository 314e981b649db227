"""The native files of an environment: extension modules and bundled libraries, by wheel.

A wheel's `RECORD` lists what it installed; auditwheel, delocate and delvewheel put libraries into
`NAME.libs` and `NAME/.dylibs` folders, which `RECORD` lists too. Debug files are looked for beside
each file (`FILE.debug`, `.debug/`, `FILE.pdb`, `FILE.dSYM`) and by build id below `/usr/lib/debug`.

Source: PyPA, "Recording installed projects".
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastwords.errors import SymbolsError
from lastwords.symbols.identify import SymbolFile, identify_files

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HarvestedFile", "harvest_environment"]

_NATIVE = re.compile(r"\.(so(\.[0-9]+)*|pyd|dll|dylib)$", re.IGNORECASE)
_SYSTEM_DEBUG = Path("/usr/lib/debug/.build-id")
_MAX_FILES = 100_000
_NO_WHEEL = "(no wheel)"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestedFile:
    """A native file of an environment.

    Attributes:
        path: The file.
        wheel: Name and version of the distribution that installed it.
        identity: Its ids.
        debug_file: A separate file with lines, whose id is the same; `None` when there is none.
    """

    path: Path
    wheel: str
    identity: SymbolFile
    debug_file: Path | None = None

    @property
    def has_debug_info(self) -> bool:
        """Whether it has lines, in itself or beside it."""
        return self.identity.has_debug_info or self.debug_file is not None

    @property
    def id_text(self) -> str:
        """Build id, debug id or stamp; `no id` when it has none."""
        ids = (self.identity.build_id, *self.identity.debug_ids, self.identity.stamp)
        return next(filter(None, ids), "no id")

    @property
    def files_with_id(self) -> tuple[Path, ...]:
        """Itself and its debug file, if a store can keep them."""
        own = (self.path,) if self.identity.stored_as() else ()
        return own if self.debug_file is None else (*own, self.debug_file)

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "path": str(self.path),
            "wheel": self.wheel,
            "kind": self.identity.kind,
            "build_id": self.identity.build_id,
            "debug_ids": list(self.identity.debug_ids),
            "has_debug_info": self.has_debug_info,
            "debug_file": None if self.debug_file is None else str(self.debug_file),
        }


def harvest_environment(root: Path) -> tuple[HarvestedFile, ...]:
    """List the native files below a virtual environment, or any folder with packages.

    Raises:
        SymbolsError: `symbol_file_not_readable`: there is no such folder.
    """
    if not root.is_dir():
        raise SymbolsError(
            "symbol_file_not_readable",
            f"{root}: there is no such folder",
            "give a virtual environment or a site-packages folder",
        )
    wheels = dict(_recorded(root))
    paths = [path for path in _native_files(root) if path.is_file()]
    found = []
    for path, identity in zip(paths, identify_files(paths), strict=True):
        if identity is not None:
            debug_file = None if identity.has_debug_info else _debug_file(path, identity)
            found.append(
                HarvestedFile(
                    path=path,
                    wheel=wheels.get(path.resolve(), _NO_WHEEL),
                    identity=identity,
                    debug_file=debug_file,
                )
            )
    return tuple(sorted(found, key=lambda one: (one.wheel, str(one.path))))


def _native_files(root: Path) -> Iterator[Path]:
    count = 0
    for path in root.rglob("*"):
        if _NATIVE.search(path.name) and not path.is_symlink():
            count += 1
            if count > _MAX_FILES:
                return
            yield path


def _recorded(root: Path) -> Iterator[tuple[Path, str]]:
    """Native files and the wheel that installed each."""
    for record in root.rglob("*.dist-info/RECORD"):
        name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
        site = record.parent.parent
        try:
            with record.open(newline="", encoding="utf-8", errors="replace") as file:
                for row in csv.reader(file):
                    if row and _NATIVE.search(row[0]):
                        yield (site / row[0]).resolve(), f"{name} {version}"
        except (OSError, csv.Error):
            continue


def _debug_file(path: Path, identity: SymbolFile) -> Path | None:
    """A file beside it, or the system's, with the same id."""
    name = path.name
    places = [
        path.with_name(f"{name}.debug"),
        path.parent / ".debug" / name,
        path.parent / ".debug" / f"{name}.debug",
        path.with_suffix(".pdb"),
        path.parent / f"{name}.dSYM" / "Contents" / "Resources" / "DWARF" / name,
    ]
    if identity.pdb_name:
        places.append(path.with_name(identity.pdb_name))
    if identity.build_id:
        places.append(_SYSTEM_DEBUG / identity.build_id[:2] / f"{identity.build_id[2:]}.debug")
    there = [place for place in places if place.is_file()]
    for place, found in zip(there, identify_files(there), strict=True):
        if found is None:
            continue
        same_build = identity.build_id is not None and found.build_id == identity.build_id
        same_debug = bool(set(found.debug_ids) & set(identity.debug_ids))
        if same_build or (same_debug and found.build_id is None):
            return place
    return None
