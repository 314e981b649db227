"""Sessions on dumps of the corpus."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from lastwords.analyze import DumpSession
from lastwords.debug import Debugger
from lastwords.debug.symbol_path import SymbolPath

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests/golden/debug"
_SHARED = REPOSITORY.parent / "shared/corpus/corpus.tar.xz"


def corpus_source() -> Path:
    """The archive, or an unpacked folder: `LASTWORDS_CORPUS`, else beside the repository."""
    return Path(os.environ.get("LASTWORDS_CORPUS", _SHARED))


def unpacked(source: Path, cache: Path) -> Path:
    """The folder that holds `files/`; an archive is unpacked into `cache` once."""
    if source.is_dir():
        return source
    folder = cache / f"corpus-{source.stat().st_size}"
    if not folder.is_dir():
        partial = Path(tempfile.mkdtemp(dir=cache))
        subprocess.run(["tar", "-xf", source, "-C", partial], check=True)
        partial.rename(folder)
    return folder


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
