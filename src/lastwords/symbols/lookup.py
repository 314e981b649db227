"""Questions to the core about symbol files: where a module's are, what they say."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lastwords.errors import CODES, LastwordsError, SymbolsError
from lastwords.symbols.source_links import SourceLinks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lastwords.symbols.wanted import WantedModule

__all__ = [
    "FoundSymbols",
    "find_symbols",
    "look_up",
    "source_checksums",
    "source_links",
    "write_sym",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSymbols:
    """What the sources have of a module.

    Attributes:
        status: `loaded`, `missing`, `mismatched`, `malformed` or `no_id`.
        kind: `dwarf`, `pdb`, `breakpad`, `symbol_table` or `cfi_only`; `None` unless loaded.
        path: The best file, or the one that cannot be used.
        reason: What is wrong with it.
        images: Object files that were found, the module's own among them.
    """

    status: str
    kind: str | None = None
    path: str | None = None
    reason: str | None = None
    images: tuple[str, ...] = ()


def find_symbols(
    modules: Sequence[WantedModule], paths: Iterable[Path], *, local_modules: bool
) -> tuple[FoundSymbols, ...]:
    """Look for the symbols of each module; opens files, and downloads nothing."""
    from lastwords import _native as core  # noqa: PLC0415  (parsing places needs no core)

    search = {
        "symbols": [os.fspath(path) for path in paths],
        "local_modules": local_modules,
        "modules": [
            {
                "code_file": module.code_file,
                "debug_file": module.debug_file,
                "code_id": module.code_id,
                "debug_id": module.debug_id,
            }
            for module in modules
        ],
    }
    found = json.loads(core.find_symbols(json.dumps(search).encode()))
    return tuple(
        FoundSymbols(**{**one, "images": tuple(one["images"])}) for one in found["modules"]
    )


def look_up(path: Path, addresses: Sequence[int], *, relative: bool = False) -> dict[str, Any]:
    """Look addresses up in a symbol file.

    Args:
        path: ELF, PE, PDB, Mach-O or `.sym`.
        addresses: As the file itself counts, from the base that it prefers.
        relative: Whether they count from 0 instead.

    Returns:
        `{"file", "base", "status", "lookups": [{"address", "function_start", "frames"}]}`; frames
        are `{"function", "file", "line", "is_inline"}`, innermost first.

    Raises:
        SymbolsError: `symbol_file_not_readable`, `symbol_file_unusable`.
    """
    from lastwords import _native as core  # noqa: PLC0415

    try:
        found: dict[str, Any] = json.loads(
            core.lookup_addresses(os.fspath(path), list(addresses), relative)
        )
    except core.CoreError as error:
        _raise(error)
    return found


def source_checksums(path: Path, files: Iterable[str]) -> dict[str, str]:
    """Read the checksums of source files out of a module's debug information.

    Args:
        path: ELF, PE, PDB or Mach-O.
        files: As lookups name them.

    Returns:
        File → `md5:…`, `sha1:…` or `sha256:…`; nothing for files without one, or when the file
        cannot be read.
    """
    from lastwords import _native as core  # noqa: PLC0415

    try:
        found: dict[str, str] = json.loads(core.source_checksums(os.fspath(path), list(files)))
    except core.CoreError:
        return {}
    return found


def source_links(path: Path) -> SourceLinks:
    """Read where the sources of a module can be had from; nothing when the file cannot be read."""
    from lastwords import _native as core  # noqa: PLC0415

    try:
        told: dict[str, list[str]] = json.loads(core.source_servers(os.fspath(path)))
    except core.CoreError:
        return SourceLinks()
    return SourceLinks(told["links"], told["servers"])


def write_sym(path: Path, out: Path, name: str | None = None) -> dict[str, Any]:
    """Write what a symbol file says as a Breakpad `.sym` file.

    Args:
        path: ELF, PE, PDB or Mach-O.
        out: The file to write.
        name: The debug file's name for the `MODULE` record, instead of the file's own.

    Returns:
        `{"os", "cpu", "debug_id", "name", "code_id", "functions", "lines", "inlines", "frames",
        "frames_left_out", "is_cut"}`.

    Raises:
        SymbolsError: `symbol_file_not_readable`, `symbol_file_unusable`, `symbols_not_written`.
    """
    from lastwords import _native as core  # noqa: PLC0415

    try:
        report: dict[str, Any] = json.loads(core.write_sym(os.fspath(path), os.fspath(out), name))
    except core.CoreError as error:
        _raise(error)
    return report


def _raise(error: Exception) -> NoReturn:
    """Raise the core's `(code, message, hint)`."""
    code, message, hint = error.args
    if code not in CODES:
        raise LastwordsError("core_failed", f"{code}: {message}", hint) from error
    kind = SymbolsError if code.startswith("symbol") else LastwordsError
    raise kind(code, message, hint) from error
