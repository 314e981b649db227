from __future__ import annotations

import pytest

from lastwords.analyze import decode_analysis
from lastwords.report.analysis import (
    Address,
    Analysis,
    FrameKind,
    FrameTrust,
    Module,
    Placement,
    SymbolStatus,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0x45, "0x00000045"), (0xFFFFFFFF, "0xffffffff"), (0x7FFE00001000, "0x00007ffe00001000")],
)
def test_addresses_are_numbers_that_read_as_hexadecimal(value: int, text: str) -> None:
    assert str(Address(value)) == text
    assert Address(value) == value


def test_an_empty_document_is_an_empty_analysis() -> None:
    assert decode_analysis(b"{}") == Analysis()


def test_null_is_the_same_as_absent_where_the_core_writes_it() -> None:
    frame = b'{"inlines": null, "python": null, "file": null, "line": null, "offset": null}'
    document = b'{"threads": [{"frames": [' + frame + b'], "python": null}], "python": null}'
    assert decode_analysis(document).threads[0].frames[0].inlines is None


def test_words_of_a_newer_core_are_unknown_not_errors() -> None:
    frame = b'{"kind": "jit", "trust": "telepathy", "python": {"placement": "somewhere"}}'
    (decoded,) = decode_analysis(b'{"threads": [{"frames": [' + frame + b"]}]}").threads[0].frames
    assert decoded.kind is FrameKind.UNKNOWN
    assert decoded.trust is FrameTrust.UNKNOWN
    assert not decoded.trust.is_exact
    assert decoded.python is not None
    assert decoded.python.placement is Placement.UNPLACED


@pytest.mark.parametrize(
    ("module", "status"),
    [
        (Module(loaded_symbols=True), SymbolStatus.LOADED),
        (Module(missing_symbols=True), SymbolStatus.MISSING),
        (Module(missing_symbols=True, corrupt_symbols=True), SymbolStatus.CORRUPT),
        (Module(loaded_symbols=False, missing_symbols=False), SymbolStatus.NOT_NEEDED),
    ],
)
def test_the_state_of_a_modules_symbols(module: Module, status: SymbolStatus) -> None:
    assert module.symbol_status is status
