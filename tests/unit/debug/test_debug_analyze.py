"""`!analyze -v` names likely causes with their evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from debug_corpus import Session

if TYPE_CHECKING:
    from pathlib import Path

BREAKPAD = "files/google+breakpad/src/processor/testdata"
RUST_MINIDUMP = "files/rust-minidump+rust-minidump/testdata"


@pytest.mark.parametrize(
    ("dump", "lines"),
    [
        (
            f"{BREAKPAD}/null_read_av.dmp",
            (
                "  Likely cause (high): Read through a null pointer",
                "      eax is 0, and the base of the address",
                "  Exploitability (Breakpad's scale): none",
            ),
        ),
        (
            f"{BREAKPAD}/stack_exhaustion.dmp",
            ("      1036000 bytes of the stack are in use",),
        ),
        (
            f"{RUST_MINIDUMP}/invalid-parameter.dmp",
            ("  Likely cause (high): An assertion failed",),
        ),
    ],
)
def test_causes_are_told_with_their_evidence(
    corpus: Path, dump: str, lines: tuple[str, ...]
) -> None:
    output = Session(corpus / dump).run("!analyze -v")
    for line in lines:
        assert line in output, output


def test_a_dump_without_a_crash_has_no_cause(corpus: Path) -> None:
    output = Session(corpus / BREAKPAD / "tiny-exe-with-cet-xsave.dmp").run("!analyze -v")
    assert not any("Likely cause" in line or "Exploitability" in line for line in output)
