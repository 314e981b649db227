from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.report import json_text as module
from lastwords.report.json_text import json_text, read_json_file

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    assert json.loads(json_text(value)) == value


@given(st.text(st.characters()))
def test_the_slow_quoting_is_the_same_json(text: str) -> None:
    assert json.loads(module._quote_slowly(text)) == json.loads(json.dumps(text))


def test_what_json_cannot_hold_becomes_text() -> None:
    written = json.loads(json_text([float("nan"), float("inf"), 2**200, object(), b"x"]))
    assert written == ["nan", "inf", hex(2**200), "<object>", "<bytes>"]


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert json_text(endless).count("[") < 100


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff\xfe", b'{"a":' * 100_000])
def test_a_file_that_holds_no_object_is_a_value_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ValueError):  # noqa: PT011
        read_json_file(str(tmp_path / "x.json"))


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(module.MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(ValueError, match="larger than"):
        read_json_file(str(tmp_path / "x.json"))


def test_a_pipe_is_an_error_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_json_file(str(tmp_path / "pipe"))
