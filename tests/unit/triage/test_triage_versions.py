"""Product versions in the order that people mean."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.triage import is_newer, version_order


def test_versions_are_in_order():
    ordered = [
        "0.9",
        "1.0.dev3",
        "1.0a1",
        "1.0-beta",
        "1.0rc2",
        "1.0",
        "1.0.post1",
        "1.0.1",
        "1.2",
        "1.10",
        "2",
    ]
    for older, newer in itertools.pairwise(ordered):
        assert is_newer(newer, older), (older, newer)
        assert not is_newer(older, newer), (older, newer)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.0.0"), ("v2", "2"), ("1.0+abc", "1.0"), ("1", "1")]
)
def test_equal_versions_are_not_newer(one, other):
    assert not is_newer(one, other)
    assert not is_newer(other, one)


def test_unknown_versions_are_never_newer():
    assert not is_newer(None, "1")
    assert not is_newer("1", None)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_a_place_in_one_order(a, b, c):
    assert not (is_newer(a, b) and is_newer(b, a))
    ordered = sorted([a, b, c], key=version_order)
    assert not is_newer(ordered[0], ordered[2])
