"""Seeds of our own: dumps of every kind, of a process that says things and of one that does not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_dumps"]

_KINDS = ("mini", "triage", "miniplus", "full", "kernel", "custom:0x1904")
_TIMEOUT_S = 60.0

_TALKER = """
import sys, threading
import lastwords

folder = sys.argv[1]
lastwords.install(product="fuzzed", version="1.2.3", dump_dir=folder + "/spool")
lastwords.annotate("level", "tundra")
for number in range(5):
    lastwords.breadcrumb(f"step {number}", category="work", data={"number": number})
threading.Thread(target=threading.Event().wait, name="idle", daemon=True).start()
for kind in ("mini", "triage", "custom:0x1904"):
    lastwords.dump(kind, reason="a seed", file=f"{folder}/talker-{kind.partition(':')[0]}.dmp")
"""


def make_dumps(folder: Path) -> list[Path]:
    """Dumps of this installation; fewer, and told on stderr, where none can be made."""
    folder.mkdir(parents=True)
    _run([sys.executable, "-c", _TALKER, str(folder)])
    # Full dumps of an interpreter are too large to be damaged often; those of this are not.
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            for kind in _KINDS:
                name = folder / f"sleeper-{kind.partition(':')[0]}.dmp"
                _dump(sleeper.pid, kind, name)
            _dump(sleeper.pid, "full", folder / "packed-full.dmp", "--compress")
            _dump(sleeper.pid, "mini", folder / "packed-mini.dmp", "--compress")
        finally:
            sleeper.kill()
    return sorted([*folder.glob("*.dmp"), *folder.glob("*.dmp.zst")])


def _dump(pid: int, kind: str, file: Path, *more: str) -> None:
    _run([sys.executable, "-m", "lastwords", "dump", "--kind", kind, *more, str(pid), str(file)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        print(f"warning: no seed: {done.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
