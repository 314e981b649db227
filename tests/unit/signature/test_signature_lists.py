"""The word lists: how an entry is written, and that the shipped ones are sound."""

from __future__ import annotations

import pytest

from lastwords.signature import lists


def test_entry_may_be_a_name_a_pattern_or_belong_to_a_module():
    words = lists.parse("# head\nabort => abort  # why\nstd::_*\nlibffi!call*\n\n")
    assert words.find("abort") == "abort"
    assert words.find("std::_Vector<T>::x") == ""
    assert words.find("call_it", "libffi") == ""
    assert words.find("call_it", "other") is None
    assert words.find("aborted") is None


@pytest.mark.parametrize("name", lists.LIST_NAMES)
def test_no_entry_is_written_twice(name):
    entries = [line.partition("=>")[0].strip() for line in lists._entries(lists._read(name))]
    assert len(entries) > 10
    assert sorted(entries) == sorted(set(entries))


def test_every_sentinel_has_a_label():
    for line in lists._entries(lists._read("sentinel")):
        assert line.partition("=>")[2].strip(), line
