"""docs/formats/dump-kinds.md says of kinds and flags what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from lastwords.dump_kinds import DUMP_FLAGS, KIND_NAMES, parse_flags

REPOSITORY = Path(__file__).parents[2]
MONITOR = REPOSITORY / "crates" / "monitor" / "src"
PAGE = (REPOSITORY / "docs" / "formats" / "dump-kinds.md").read_text("utf-8")


def rows(pattern: str) -> list[tuple[str, str, str]]:
    return re.findall(pattern, PAGE, re.MULTILINE)


def test_every_flag_has_its_row_and_bit() -> None:
    told = rows(r"^\| (0x[0-9A-F]+) \| `(\w+)` \| (.+) \|$")
    assert [(int(bit, 16), name) for bit, name, _ in told] == [
        (parse_flags(name), name) for name in ("Normal", *DUMP_FLAGS)
    ]


def test_flags_that_do_nothing_are_the_same_in_code_and_page() -> None:
    code = (MONITOR / "write" / "flags_told.rs").read_text("utf-8")
    table = (MONITOR / "plan" / "flags.rs").read_text("utf-8")
    constants = dict(re.findall(r'(\w+) = 0x[0-9A-F_]+, "(\w+)";', table))
    silent = {constants[name] for name in re.findall(r"DumpFlags::([A-Z_]+),", code)}
    told = rows(r"^\| (0x[0-9A-F]+) \| `(\w+)` \| (no meaning)")
    assert {name for _, name, _ in told} == silent
    assert len(silent) == 4


def test_every_kind_has_its_row() -> None:
    told = re.findall(r"^\| `(\w+)` \| (0x[0-9A-F]+|as given) \|", PAGE, re.MULTILINE)
    assert {kind for kind, _ in told} == set(KIND_NAMES)
