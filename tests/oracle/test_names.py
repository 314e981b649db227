"""Functions, inlined functions and lines of native frames, against binutils' addr2line."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from amount import IS_WHOLE, SEED
from building import build
from interpreters import interpreters
from runs import documents_of
from variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interpreters import Interpreter

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not shutil.which("addr2line"), reason="binutils are not there"),
]
SCRIPTS = 50
ADDRESSES = 2_000 if IS_WHOLE else 150
"""Of one module: addr2line needs milliseconds for each."""

Named = tuple[tuple[str, int | None], ...]


def chosen() -> list[Interpreter]:
    found = [one for one in interpreters() if one.has_debug_info]
    return found if IS_WHOLE else [random.Random(SEED).choice(found)]


@pytest.mark.parametrize("interpreter", chosen(), ids=lambda one: one.name)
def test_names_and_lines_are_those_of_addr2line(interpreter: Interpreter) -> None:
    plain = VARIANTS["plain"]
    scripts = plain.scripts(interpreter, build(interpreter), seed=SEED, count=SCRIPTS)
    document, _ = documents_of(interpreter, plain, scripts)
    files = {module["filename"]: module["code_file"] for module in document["modules"]}
    wrong = []
    for module, seen in named_by_lastwords(document).items():
        some = random.Random(SEED).sample(sorted(seen), min(len(seen), ADDRESSES))
        true = named_by_addr2line(Path(files[module]), some)
        wrong += [
            f"{module}+{address:#x}: expected {true[address]}, got {seen[address]}"
            for address in some
            if address in true and not is_same(true[address], seen[address])
        ]
    assert not wrong, "\n".join(wrong[:20])


def named_by_lastwords(document: dict[str, Any]) -> dict[str, dict[int, Named]]:
    """Module → offset → functions with their lines, inlined ones first."""
    found: dict[str, dict[int, Named]] = defaultdict(dict)
    for frame in native_frames(document):
        inlines = [(inline["function"], inline["line"]) for inline in frame.get("inlines") or ()]
        whole = (*inlines, (frame["function"], frame["line"]))
        if frame["module"] and frame["function"]:
            found[frame["module"]][int(frame["module_offset"], 16)] = whole
    return found


def native_frames(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for thread in document["threads"]:
        for frame in thread["frames"]:
            if frame["kind"] == "native":
                yield frame
            elif frame.get("evaluation"):
                yield frame["evaluation"]


def named_by_addr2line(file: Path, addresses: list[int]) -> dict[int, Named]:
    """The same of those addresses that it knows the function and the line of."""
    asked = subprocess.run(
        ["addr2line", "-e", file, "-a", "-f", "-i", *map(hex, addresses)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = {}
    for block in re.split(r"^(?=0x[0-9a-f]{16}$)", asked.stdout, flags=re.MULTILINE)[1:]:
        address, *lines = block.splitlines()
        pairs = [
            (name, int(number) if number.isdigit() else None)
            for name, place in zip(lines[::2], lines[1::2], strict=True)
            for number in [place.rpartition(":")[2].partition(" ")[0]]
        ]
        if all(name != "??" and line for name, line in pairs):
            found[int(address, 16)] = tuple(pairs)
    return found


def is_same(true: Named, seen: Named) -> bool:
    """Whether names of C are the same, and lines of all; other names are spelled differently."""
    if [line for _, line in true] != [line for _, line in seen]:
        return False
    return all(
        plain(name) == plain(shown)
        for (name, _), (shown, _) in zip(true, seen, strict=True)
        if not re.search(r"[:<(]|^_Z|^_R", f"{name}{shown}")
    )


def plain(name: str) -> str:
    return re.sub(r"\.(isra|part|constprop|cold|lto_priv)\b.*", "", name)
