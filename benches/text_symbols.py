"""Analysis with a hundred megabytes of text symbols, beside rust-minidump on the same files."""

from __future__ import annotations

import functools
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benches.measure import Row, cargo_program, environment, home, run, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["text_symbols"]

PEER = "minidump-stackwalk"
LEAST_BYTES = 100 * 1024 * 1024
COUNT = 7
_ADDRESSED = re.compile(rb"^((?:FUNC |PUBLIC )(?:m )?|)([0-9a-f]+) ", re.MULTILINE)
_COPY_OFFSET = 1 << 32
"""Copies stand behind every module: no frame is in one, but readers must read them."""


def text_symbols() -> list[Row]:
    """The victim's crash; a first look without any cache, and one when the cache is full."""
    with home() as folder:
        dump = _dump(folder)
        tree = folder / "symbols"
        size_mib = _symbols(dump, tree, folder) / 2**20
        cache = folder / "cache-of-answers"
        ours = [str(Path(sys.executable).with_name("lastwords")), "analyze", "--json"]
        ours += ["--no-local-modules", "--symbols", str(tree), str(dump)]
        cached = [*ours, "--cache-dir", str(cache)]
        commands = {"first": [*ours, "--no-cache"], "cached": cached}
        peer = cargo_program(PEER)
        if peer is not None:
            commands["peer"] = [str(peer), "--json", str(dump), str(tree)]
        run(cached, folder)
        taken = _turns_ms(commands, folder)
    subject = f"analysis with {size_mib:.0f} MiB of text symbols"
    command = f"the victim's access violation, from the shell to JSON, median of {COUNT}, in turns"
    beside = {"unit": "ms", "command": command}
    if peer is not None:
        beside |= {"peer": version_of(str(peer), "--version"), "peer_value": taken["peer"]}
    return [
        Row(promise=f"{subject}, symbol cache full",
            value=taken["cached"], ratio_limit=0.1, **beside),
        Row(promise=f"{subject}, first look", value=taken["first"], ratio_limit=1, **beside),
    ]  # fmt: skip


def _dump(folder: Path) -> Path:
    spool = folder / "spool"
    arguments = ["-m", "victim", "--dump-dir", spool, "--fail", "access-violation"]
    run([sys.executable, *arguments], folder, may_fail=True)
    (dump,) = spool.glob("pending/*/dump.dmp")
    return dump


def _symbols(dump: Path, tree: Path, folder: Path) -> int:
    """Text symbols of the modules on the stacks, the largest enlarged; bytes of all."""
    verb = [sys.executable, "-m", "lastwords"]
    analysed = run([*verb, "analyze", "--json", "--no-cache", dump], folder)
    for module in json.loads(analysed.stdout)["modules"]:
        path = Path(module.get("code_file") or module["filename"])
        if (module.get("symbols") or {}).get("status") == "loaded" and path.is_file():
            run([*verb, "symbols", "convert", path, "--store", tree], folder, may_fail=True)
    files = sorted(tree.rglob("*.sym"), key=lambda file: file.stat().st_size)
    others = sum(file.stat().st_size for file in files[:-1])
    _enlarge(files[-1], LEAST_BYTES - others)
    return others + files[-1].stat().st_size


def _enlarge(file: Path, least: int) -> None:
    """Repeat the functions of a file at other addresses."""
    text = file.read_bytes()
    start = text.index(b"\nFUNC ") + 1
    end = text.find(b"\nSTACK ") + 1 or len(text)
    functions = text[start:end]
    with file.open("wb") as out:
        out.write(text[:end])
        copies = 1
        while out.tell() < least:
            out.write(_ADDRESSED.sub(functools.partial(_moved, copies), functions))
            copies += 1
        out.write(text[end:])


def _moved(copy: int, found: re.Match[bytes]) -> bytes:
    return b"%s%x " % (found[1], int(found[2], 16) + copy * _COPY_OFFSET)


def _turns_ms(commands: dict[str, Sequence[str]], folder: Path) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(COUNT + 1):
        for name, command in commands.items():
            start = time.monotonic_ns()
            subprocess.run(command, env=environment(folder), check=True, capture_output=True)
            taken[name].append((time.monotonic_ns() - start) / 1e6)
    shutil.rmtree(folder / "cache-of-answers", ignore_errors=True)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}
