"""How long a dump takes to become a symbolicated stack, beside Breakpad on the same dump."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benches.measure import REPOSITORY, Row, environment, home, run

__all__ = ["analyse_time"]

BREAKPAD = REPOSITORY / ".tools/node_modules/minidump"
COUNT = 15


def analyse_time() -> list[Row]:
    """The victim's crash, from the modules' own debug information; Breakpad reads `.sym` files."""
    with home() as folder:
        spool = folder / "spool"
        arguments = ["-m", "victim", "--dump-dir", spool, "--fail", "access-violation"]
        run([sys.executable, *arguments], folder, may_fail=True)
        (dump,) = spool.glob("pending/*/dump.dmp")
        command = [sys.executable, "-m", "lastwords", "analyze", "--json", "--no-cache", dump]
        ours = _median_ms(command, folder)
        row = {
            "promise": "`lastwords analyze` of the victim's dump, without a symbol cache",
            "unit": "ms",
            "command": f"the victim's access violation, median of {COUNT} processes",
        }
        if not (BREAKPAD / "bin").is_dir():
            return [Row(value=ours, **row)]
        symbols = _breakpad_symbols(dump, folder)
        walker = BREAKPAD / "bin/linux-x64/minidump_stackwalk"
        theirs = _median_ms([walker, "-m", dump, symbols], folder)
        version = json.loads((BREAKPAD / "package.json").read_text())["version"]
        peer = f"Breakpad minidump_stackwalk (npm minidump {version}), .sym files made before"
        return [Row(value=ours, peer=peer, peer_value=theirs, **row)]


def _median_ms(command: list[str | Path], folder: Path) -> float:
    taken = []
    for _ in range(COUNT + 1):
        start = time.monotonic_ns()
        subprocess.run(command, env=environment(folder), check=True, capture_output=True)
        taken.append((time.monotonic_ns() - start) / 1e6)
    return statistics.median(taken[1:])


def _breakpad_symbols(dump: Path, folder: Path) -> Path:
    """A symbol tree of all modules of the dump, as Breakpad's dump_syms makes it."""
    analysis = json.loads(
        run([sys.executable, "-m", "lastwords", "analyze", "--json", dump], folder).stdout
    )
    symbols = folder / "symbols"
    for module in analysis["modules"]:
        path = Path(module.get("code_file") or module["filename"])
        if not path.is_file():
            continue
        dumped = run([BREAKPAD / "bin/linux-x64/dump_syms", path], folder, may_fail=True).stdout
        if dumped.startswith("MODULE "):
            identifier, name = dumped.splitlines()[0].split(" ", 4)[3:]
            target = symbols / name / identifier
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{name}.sym").write_text(dumped)
    return symbols
