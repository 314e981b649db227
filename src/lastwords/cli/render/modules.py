"""The modules that matter to the stacks, with what is known of their symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text
from lastwords.report.analysis import SymbolStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis, Module

__all__ = ["module_lines"]

_MAX_MODULES = 24
_WORDS = {
    SymbolStatus.LOADED: ("full symbols", "green"),
    SymbolStatus.EXPORTS_ONLY: ("exports only, no lines", "yellow"),
    SymbolStatus.UNWIND_ONLY: ("unwind tables only, no names", "yellow"),
    SymbolStatus.MISSING: ("no symbols", "yellow"),
    SymbolStatus.NO_ID: ("no symbols: the dump has no id of it", "yellow"),
    SymbolStatus.MISMATCHED: ("mismatched symbols", "red"),
    SymbolStatus.CORRUPT: ("symbols damaged", "red"),
    SymbolStatus.NOT_NEEDED: ("no frames", "dim"),
}
_WITH_PATH = (SymbolStatus.MISMATCHED, SymbolStatus.CORRUPT)
_KINDS = {"dwarf": "DWARF", "pdb": "PDB", "breakpad": "Breakpad"}


def module_lines(analysis: Analysis) -> Iterator[Text]:
    """A line for each module that symbols were looked for, then how many more there are."""
    wanted = [m for m in analysis.modules if m.symbol_status is not SymbolStatus.NOT_NEEDED]
    shown = wanted[:_MAX_MODULES]
    names = max((len(clean(module.filename or "?")) for module in shown), default=0)
    addresses = max((len(str(module.base_addr)) for module in shown), default=0)
    for module in shown:
        yield _module_line(module, addresses, names)
    rest = len(analysis.modules) - len(shown)
    if rest:
        yield Text(f"  {rest} more without frames or not shown: --json", style="dim")


def _module_line(module: Module, addresses: int, names: int) -> Text:
    status = module.symbol_status
    words, style = _WORDS[status]
    name = clean(module.filename or "?")
    address = "?" if module.base_addr is None else str(module.base_addr)
    line = Text(f"  {address:<{addresses}}  {name:<{names}}  ").append(words, style=style)
    kind = _KINDS.get(module.symbols.kind or "")
    if status is SymbolStatus.LOADED:
        return line.append(f" ({kind})", style="dim") if kind else line
    if module.debug_id:
        line.append(f"  debug id {clean(module.debug_id)}", style="dim")
    if status in _WITH_PATH and module.symbols.path:
        why = module.symbols.reason or "is of another build"
        line.append(f"; {clean(module.symbols.path)} {clean(why)}")
    return line
