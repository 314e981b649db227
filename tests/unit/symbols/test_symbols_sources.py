from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lastwords.errors import SymbolsError
from lastwords.symbols import SymbolSources

if TYPE_CHECKING:
    from pathlib import Path


def test_paths_that_are_there_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.sym").touch()
    SymbolSources(paths=(tmp_path, tmp_path / "a.sym")).check()


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SymbolsError) as caught:
        SymbolSources(paths=(tmp_path, tmp_path / "nowhere")).check()
    assert caught.value.code == "symbols_not_found"
    assert str(tmp_path / "nowhere") in caught.value.message
