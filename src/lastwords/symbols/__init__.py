"""Where to look for symbols, in which order, and where to keep what was found; the core does it."""

from lastwords.symbols.cache import default_symbol_cache
from lastwords.symbols.sources import SymbolSources

__all__ = ["SymbolSources", "default_symbol_cache"]
