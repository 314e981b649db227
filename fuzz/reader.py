"""The child: reads each file that a line on stdin names, and says on stdout how it went.

Line in: `WAY<tab>FILE<tab>SYMBOLS<tab>MAX_WHOLE_BYTES`, of which the latter two may be empty. Line
out: `ok`, or the error's code.

| way | what |
|---|---|
| `analyze` | the analysis of a dump |
| `session` | a debugger on a dump, all commands with their examples |
| `symbols` | lookups in a symbol file, its sources, and it written as text symbols |
| `convert` | a core, a dump or a microdump, converted |
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords import _native
from lastwords.errors import LastwordsError

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_BYTES = 2 << 30
MOST_ADDRESS = 1 << 20
NEVER = {"$><", ".logopen", ".logappend", "q", ".symfix"}


def _analyze(file: str, symbols: str, most: str) -> None:
    options = {"symbols": [symbols] if symbols else [], "local_modules": False}
    if most:
        options["max_whole_bytes"] = int(most)
    json.loads(_native.analyze_dump(file, json.dumps(options).encode()))


def _session(file: str, symbols: str, _most: str) -> None:
    from lastwords.analyze import DumpSession
    from lastwords.debug import COMMANDS, Debugger
    from lastwords.debug.symbol_path import SymbolPath

    path = SymbolPath(text=symbols, local_modules=False)
    said: list[str] = []
    session = DumpSession(file, symbols=path.places.all_paths, local_modules=False)
    debugger = Debugger(session, said.append, symbols=path)
    for entry in {id(entry): entry for entry in COMMANDS.values()}.values():
        if not NEVER & set(entry.names):
            debugger.run(entry.example)
    if any("core_failed" in line for line in said):
        raise AssertionError(said)


def _symbols(file: str, _symbols: str, _most: str) -> None:
    _native.lookup_addresses(file, list(range(0, MOST_ADDRESS, 997)), is_relative=True)
    _native.source_servers(file)
    with tempfile.TemporaryDirectory() as folder:
        _native.write_sym(file, f"{folder}/out.sym", None)


def _convert(file: str, _symbols: str, _most: str) -> None:
    from lastwords.analyze.convert import convert

    with tempfile.TemporaryDirectory() as folder:
        convert(Path(file), Path(folder, "out"))


WAYS: dict[str, Callable[[str, str, str], None]] = {
    "analyze": _analyze,
    "session": _session,
    "symbols": _symbols,
    "convert": _convert,
}


def _answer(line: str) -> str:
    way, *fields = line.rstrip("\n").split("\t")
    try:
        WAYS[way](*fields)
    except _native.CoreError as error:
        return str(error.args[0])
    except LastwordsError as error:
        return error.code
    except Exception as error:  # noqa: BLE001  (any other is a finding)
        return f"{type(error).__name__}: {error}"[:200].replace("\n", " ")
    return "ok"


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(_answer(line), flush=True)


if __name__ == "__main__":
    _main()
