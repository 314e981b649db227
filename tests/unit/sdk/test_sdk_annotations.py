from __future__ import annotations

import enum
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lastwords
from lastwords.report.json_text import json_text
from lastwords.sdk.annotations import MAX_VALUE_BYTES, current_annotations


class Colour(enum.IntEnum):
    RED = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("town", "town"),
        ("", ""),
        (7, 7),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        (True, True),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Colour.RED, 3),
        (Text("x"), "x"),
    ],
)
def test_what_is_kept(core: object, value: object, kept: object) -> None:
    lastwords.annotate("key", value)
    assert current_annotations() == {"key": kept}
    assert type(current_annotations()["key"]) is type(kept)


def test_none_removes(core: object) -> None:
    lastwords.install("p", "1")
    lastwords.annotate("key", 1)
    lastwords.annotate("key", None)
    lastwords.annotate("never-set", None)
    assert current_annotations() == {}
    assert core.named("set_annotation")[-2:] == [
        ("key", None, "string"), ("never-set", None, "string"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x", ("x", "string")),
        (True, ("true", "bool")),
        (False, ("false", "bool")),
        (3, ("3", "int")),
        (0.1, ("0.1", "float")),
        ("\ud800", ("?", "string")),
    ],
)
def test_the_core_is_told_the_kind(core: object, value: object, told: tuple) -> None:
    lastwords.install("p", "1")
    lastwords.annotate("key", value)
    assert core.named("set_annotation") == [("key", *told)]


@pytest.mark.parametrize("key", ["", 3, None, b"x", "a\nb", "\x00", "k" * 121, "ü" * 61])
def test_a_bad_key_is_a_warning(core: object, key: object) -> None:
    with pytest.warns(lastwords.LastwordsWarning, match="annotation_rejected"):
        lastwords.annotate(key, 1)
    assert current_annotations() == {}


@pytest.mark.parametrize("value", [b"x", [1], {}, object(), 2**63, 1j])
def test_a_bad_value_is_a_warning_and_the_old_one_stays(core: object, value: object) -> None:
    lastwords.annotate("key", "old")
    with pytest.warns(lastwords.LastwordsWarning, match="'key'"):
        lastwords.annotate("key", value)
    assert current_annotations() == {"key": "old"}


def test_long_text_is_cut_at_a_character(core: object) -> None:
    lastwords.annotate("key", "ü" * 5000)
    kept = current_annotations()["key"]
    assert len(kept.encode()) <= MAX_VALUE_BYTES
    assert kept.endswith("ü…[cut]")


def test_the_257th_annotation_is_refused(core: object) -> None:
    for number in range(256):
        lastwords.annotate(f"key-{number}", number)
    with pytest.warns(lastwords.LastwordsWarning, match="256"):
        lastwords.annotate("one-more", 1)
    lastwords.annotate("key-7", "changed")
    assert len(current_annotations()) == 256
    assert current_annotations()["key-7"] == "changed"


def test_secrets_do_not_reach_the_core(core: object) -> None:
    lastwords.install("p", "1")
    lastwords.annotate("api_key", "hunter2hunter2")
    lastwords.annotate("api_pin", 1234)
    lastwords.annotate("call", "curl -H 'Authorization: Bearer hunter2hunter2'")
    assert "hunter2" not in repr(core.calls)


def test_what_the_core_refuses_is_a_warning(core: object) -> None:
    lastwords.install("p", "1")
    core.failure = RuntimeError("annotations_full", "256 annotations are set", None)
    with pytest.warns(lastwords.LastwordsWarning, match="256 annotations are set"):
        lastwords.annotate("key", 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.text(), st.integers(), st.none()), st.one_of(st.text(), st.floats(), st.binary())
)
def test_nothing_makes_annotate_raise(core: object, key: object, value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lastwords.annotate(key, value)
    json.loads(json_text(current_annotations()))
