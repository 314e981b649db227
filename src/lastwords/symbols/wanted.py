"""Which files would help a dump: the modules with frames, and what is known of their symbols."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["WantedModule", "missing_modules", "modules_of"]

_HEX = re.compile(r"[0-9a-fA-F]+")
_STAMP = re.compile(r"[0-9A-Fa-f]{9,16}")
_NO_IDS = {"", "0" * 33}
_DEBUG_KINDS = ("dwarf", "pdb", "breakpad")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModule:
    """A module and its ids, as an analysis tells them.

    Attributes:
        code_file: Path on the machine that crashed; may be empty.
        debug_file: Name of the debug file; `None` when not told.
        code_id: Build id, UUID, or time stamp and size, in hexadecimal; `None` when not told.
        debug_id: As Breakpad writes it; `None` when not told.
        has_frames: Whether frames of a stack lie in it.
        status, kind, path: As in `modules[].symbols` of the analysis.
    """

    code_file: str = ""
    debug_file: str | None = None
    code_id: str | None = None
    debug_id: str | None = None
    has_frames: bool = False
    status: str = "missing"
    kind: str | None = None
    path: str | None = None

    @property
    def code_name(self) -> str | None:
        """The last part of the code file, if it can be a file name."""
        return leaf(self.code_file)

    @property
    def debug_name(self) -> str | None:
        """The last part of the debug file, else of the code file."""
        return leaf(self.debug_file or "") or self.code_name

    @property
    def is_windows(self) -> bool:
        """Whether its code id is a PE image's, or its debug file a PDB."""
        is_pdb = (self.debug_file or "").lower().endswith(".pdb")
        return is_pdb or bool(self.code_id and _STAMP.fullmatch(self.code_id))

    @property
    def is_apple(self) -> bool:
        """Whether it came from a Mac: there code id and debug id spell the same UUID."""
        debug_id, code_id = self.debug_id or "", self.code_id or ""
        return bool(code_id) and not self.is_windows and debug_id[:32].lower() == code_id.lower()

    @property
    def build_id(self) -> str | None:
        """The build id in lower case; `None` for modules that are not ELF."""
        if self.is_windows or self.is_apple or not self.code_id:
            return None
        is_id = _HEX.fullmatch(self.code_id) and len(self.code_id) % 2 == 0
        return self.code_id.lower() if is_id and len(self.code_id) >= 8 else None

    @property
    def has_debug_info(self) -> bool:
        """Whether functions with lines were found."""
        return self.status == "loaded" and self.kind in _DEBUG_KINDS


def leaf(path: str) -> str | None:
    """Return the last part of a path of any system, if it can be a file name."""
    name = re.split(r"[/\\]", path)[-1]
    is_name = name not in {"", ".", ".."} and not re.search(r"[\x00-\x1f:*?\"<>|]", name)
    return name if is_name else None


def modules_of(document: dict[str, Any]) -> Iterator[WantedModule]:
    """The modules of an analysis document (docs/formats/analysis.md) that have an id."""
    for module in document.get("modules") or ():
        symbols = module.get("symbols") or {}
        debug_id = module.get("debug_id") or ""
        wanted = WantedModule(
            code_file=module.get("code_file") or module.get("filename") or "",
            debug_file=module.get("debug_file") or None,
            code_id=module.get("code_id") or None,
            debug_id=None if debug_id in _NO_IDS else debug_id,
            has_frames=symbols.get("status", "not_requested") != "not_requested",
            status=symbols.get("status") or "not_requested",
            kind=symbols.get("kind"),
            path=symbols.get("path"),
        )
        if wanted.debug_id or wanted.code_id:
            yield wanted


def missing_modules(modules: Iterable[WantedModule]) -> Iterator[WantedModule]:
    """Those with frames whose functions have no lines, each once."""
    seen = set()
    for module in modules:
        key = (module.code_name, module.code_id, module.debug_id)
        if module.has_frames and not module.has_debug_info and key not in seen:
            seen.add(key)
            yield module
