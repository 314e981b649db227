"""Where to look for symbols, in which order, and where to keep what was found; the core does it.

Owns: the forms in which sources are given, downloads of what is missing, stores of symbol files.
Does not own: reading symbol files (crates/symbols), nor analyses (`lastwords.analyze`), which use
the folders that this room names.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.symbols.cache import default_symbol_cache
    from lastwords.symbols.download import Download, Downloader, FileState, Progress
    from lastwords.symbols.identify import SymbolFile, identify_files
    from lastwords.symbols.lookup import FoundSymbols, find_symbols, look_up, write_sym
    from lastwords.symbols.places import Places, Protocol, Server, default_cache, parse_places
    from lastwords.symbols.sources import SymbolSources
    from lastwords.symbols.wanted import WantedModule, missing_modules, modules_of
else:
    _PLACES = {
        "Download": "lastwords.symbols.download",
        "Downloader": "lastwords.symbols.download",
        "FileState": "lastwords.symbols.download",
        "FoundSymbols": "lastwords.symbols.lookup",
        "Places": "lastwords.symbols.places",
        "Progress": "lastwords.symbols.download",
        "Protocol": "lastwords.symbols.places",
        "Server": "lastwords.symbols.places",
        "SymbolFile": "lastwords.symbols.identify",
        "SymbolSources": "lastwords.symbols.sources",
        "WantedModule": "lastwords.symbols.wanted",
        "default_cache": "lastwords.symbols.places",
        "default_symbol_cache": "lastwords.symbols.cache",
        "find_symbols": "lastwords.symbols.lookup",
        "identify_files": "lastwords.symbols.identify",
        "look_up": "lastwords.symbols.lookup",
        "missing_modules": "lastwords.symbols.wanted",
        "modules_of": "lastwords.symbols.wanted",
        "parse_places": "lastwords.symbols.places",
        "write_sym": "lastwords.symbols.lookup",
    }

    def __getattr__(name: str) -> object:
        """Import a part of the room when it is first named: downloads cost 40 ms."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_PLACES[name]), name)


__all__ = [
    "Download",
    "Downloader",
    "FileState",
    "FoundSymbols",
    "Places",
    "Progress",
    "Protocol",
    "Server",
    "SymbolFile",
    "SymbolSources",
    "WantedModule",
    "default_cache",
    "default_symbol_cache",
    "find_symbols",
    "identify_files",
    "look_up",
    "missing_modules",
    "modules_of",
    "parse_places",
    "write_sym",
]
