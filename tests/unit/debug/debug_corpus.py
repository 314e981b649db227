"""Sessions on dumps of the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corpus_folder import REPOSITORY

from lastwords.analyze import DumpSession
from lastwords.debug import Debugger
from lastwords.debug.symbol_path import SymbolPath

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = REPOSITORY / "tests/golden/debug"


class Session:
    """A debugger whose output is kept."""

    def __init__(self, dump: Path, *symbols: Path) -> None:
        self.lines: list[str] = []
        session = DumpSession(dump, symbols=symbols, local_modules=False)
        path = SymbolPath(text=";".join(str(one) for one in symbols), local_modules=False)
        self.debugger = Debugger(session, self.lines.append, symbols=path)

    def run(self, line: str) -> list[str]:
        """What the commands of a line say."""
        self.lines.clear()
        self.debugger.run(line)
        return list(self.lines)
