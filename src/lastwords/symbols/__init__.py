"""Where to look for symbols, in which order, and where to keep what was found; the core does it.

Owns: the forms in which sources are given, downloads of what is missing, stores of symbol files.
Does not own: reading symbol files (crates/symbols), nor analyses (`lastwords.analyze`), which use
the folders that this room names.
"""

from lastwords.symbols.cache import default_symbol_cache
from lastwords.symbols.download import Download, Downloader, FileState, Progress
from lastwords.symbols.identify import SymbolFile, identify_files
from lastwords.symbols.lookup import FoundSymbols, find_symbols, look_up, write_sym
from lastwords.symbols.places import Places, Protocol, Server, default_cache, parse_places
from lastwords.symbols.sources import SymbolSources
from lastwords.symbols.wanted import WantedModule, missing_modules, modules_of

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
