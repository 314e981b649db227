"""Where answers about symbols are kept for the next analysis; the core does the keeping."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.config import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["default_symbol_cache"]

_VARIABLE = "LASTWORDS_CACHE_DIR"


def default_symbol_cache(environ: Mapping[str, str] | None = None) -> Path | None:
    """Folder of the symbol cache (docs/formats/symbol-cache.md); it need not be there.

    `$LASTWORDS_CACHE_DIR`, else `lastwords/symbols` in `$XDG_CACHE_HOME` or `~/.cache`.

    Returns:
        The folder; `None` for a user without a home directory.
    """
    told = (os.environ if environ is None else environ).get(_VARIABLE)
    if told:
        return Path(told).absolute()
    folder = Path(cache_dir(environ))
    # What is not expanded would become a folder of this name, wherever one happens to be.
    return None if "~" in folder.parts else folder / "symbols"
