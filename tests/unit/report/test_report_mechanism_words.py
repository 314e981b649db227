from __future__ import annotations

from typing import Any

import pytest

from lastwords.report.breadcrumbs import breadcrumb_words
from lastwords.report.mechanism_words import mechanism_words


def words(**mechanism: Any) -> dict[str, str]:
    return dict(mechanism_words(mechanism))


def test_every_fact_has_its_words() -> None:
    assert words(
        stack_overflow={"stack_bytes": 8_388_608, "limit_bytes": None},
        cpp_exception={"type": "std::runtime_error", "what": "cold", "frames": []},
        last_words={"source": "rust_panic", "text": "index out of bounds"},
        abort_message="double free",
    ) == {
        "Stack": "stack overflow, 8,388,608 bytes in use",
        "C++ exception": "not caught: std::runtime_error: cold",
        "Rust panic": "index out of bounds",
        "Abort message": "double free",
    }


def test_an_abnormal_end_has_its_cause_and_its_evidence() -> None:
    end = {
        "cause": "oom_kill",
        "certainty": "likely",
        "exit_code": None,
        "signal": 9,
        "evidence": ["oom_kill in memory.events rose by 1", 7, ""],
    }
    assert words(end=end) == {
        "End of the process": "likely killed by the kernel: memory was full, signal 9 "
        "(oom_kill in memory.events rose by 1)"
    }
    assert words(end={"cause": "os_exit", "certainty": "known", "exit_code": 3}) == {
        "End of the process": "ended by os._exit(), exit status 3"
    }
    assert words(end={"cause": "unknown"}) == {"End of the process": "not known"}
    assert words(end={"cause": "gamma rays"}) == {"End of the process": "gamma rays"}


def test_a_pure_virtual_call_needs_no_text() -> None:
    last = {"source": "pure_virtual_call", "text": None}
    assert words(last_words=last) == {"Pure virtual call": "Pure virtual call without a text"}


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, True])
def test_what_is_of_a_wrong_type_is_left_out(value: Any) -> None:
    keys = ("end", "last_words", "abort_message")
    found = mechanism_words(
        {key: value for key in keys if key != "abort_message" or value != "text"}
    )
    assert found == []
    assert "Stack" not in words(stack_overflow=value) or isinstance(value, dict)


def test_long_texts_are_cut() -> None:
    assert len(words(abort_message="x" * 100_000)["Abort message"]) == 2_001


def test_breadcrumbs_of_any_shape() -> None:
    entry = {"time_ns": 1_795_208_721_250_000_000, "message": "opened", "data": {"n": 1}}
    assert breadcrumb_words(entry) == ("21:05:21.250", "opened  n=1")
    assert breadcrumb_words({"time": "noon", "time_ns": True}) == ("noon", "")
    assert breadcrumb_words([1]) == ("", "[1]")
