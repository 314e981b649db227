"""Where to look for symbols, and in which order; the core does the looking."""

from lastwords.symbols.sources import SymbolSources

__all__ = ["SymbolSources"]
