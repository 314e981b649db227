from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.symbols import default_symbol_cache

if TYPE_CHECKING:
    import pytest


def test_the_folder_follows_the_variable_then_the_xdg_specification() -> None:
    assert default_symbol_cache({"LASTWORDS_CACHE_DIR": "/k", "XDG_CACHE_HOME": "/x"}) == Path("/k")
    assert default_symbol_cache({"LASTWORDS_CACHE_DIR": "", "XDG_CACHE_HOME": "/x"}) == Path(
        "/x/lastwords/symbols"
    )
    assert default_symbol_cache({"XDG_CACHE_HOME": "relative"}) == default_symbol_cache({})


def test_without_more_it_is_below_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_symbol_cache({}) == tmp_path / ".cache/lastwords/symbols"


def test_a_relative_folder_is_where_the_program_is_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_symbol_cache({"LASTWORDS_CACHE_DIR": "here"}) == tmp_path / "here"


def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert default_symbol_cache({}) is None
    assert default_symbol_cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/lastwords/symbols")
