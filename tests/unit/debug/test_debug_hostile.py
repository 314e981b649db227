"""Damaged dumps: every command ends orderly, whatever it says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from debug_corpus import Session

from lastwords.debug import COMMANDS
from lastwords.debug.syntax import split_commands
from lastwords.errors import LastwordsError

if TYPE_CHECKING:
    from pathlib import Path

DUMPS = [
    "files/rust-minidump+rust-minidump/testdata/test.dmp",
    "files/rust-minidump+rust-minidump/testdata/invalid-parameter.dmp",
    "files/getsentry+symbolic/symbolic-testutils/fixtures/linux/mini.dmp",
    "files/getsentry+symbolic/symbolic-testutils/fixtures/macos/mini.dmp",
]
NEVER = {"$><", ".logopen", ".logappend", "q"}


def examples() -> list[str]:
    entries = {id(entry): entry for entry in COMMANDS.values()}.values()
    texts = [text for entry in entries if not NEVER & set(entry.names) for text in
             split_commands(entry.example)]  # fmt: skip
    return [*texts, "k", "kv", "kp", "r", "lmv", "!analyze -v", "~*k", "uf @$ip", "dv /t /v"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dump", DUMPS)
def test_commands_survive_damage(corpus: Path, tmp_path: Path, dump: str, seed: int) -> None:
    source = random.Random(f"{dump} {seed}")
    data = bytearray((corpus / dump).read_bytes())
    for _ in range(40):
        data[source.randrange(32, len(data))] = source.randrange(256)
    damaged = tmp_path / "damaged.dmp"
    damaged.write_bytes(data[: source.randrange(len(data) // 2, len(data))])
    try:
        session = Session(damaged)
    except LastwordsError:
        return
    for text in examples():
        lines = session.run(text)
        assert not any("core_failed" in line for line in lines), (text, lines)


def test_every_example_says_something_on_a_whole_dump(corpus: Path) -> None:
    session = Session(corpus / DUMPS[0])
    session.run(".ecxr")
    for text in examples():
        lines = session.run(text)
        assert not any(line.startswith("error:") for line in lines), (text, lines)
