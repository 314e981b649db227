"""The symbol sources of one analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SymbolSources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSources:
    """Where symbols come from, first match wins.

    Attributes:
        paths: Files and folders, in the order given: `.sym` files, Breakpad trees, `.build-id`
            trees, folders of debug files. Matched by debug id, never by name alone.
        local_modules: After those, the module files named in the dump, if they are on this machine
            and have the dump's build id.
    """

    paths: tuple[Path, ...] = ()
    local_modules: bool = True

    def check(self) -> None:
        """See that every path is there: a typing error must not look like missing symbols.

        Raises:
            SymbolsError: `symbols_not_found`.
        """
        for path in self.paths:
            if not path.exists():
                raise SymbolsError(
                    "symbols_not_found",
                    f"symbol source {path}: there is no such file or folder",
                    "check the path given to --symbols",
                )
