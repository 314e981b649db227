"""What the tests of the analysis share: golden files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from corpus_folder import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = REPOSITORY / "tests/golden/analyze"


@pytest.fixture
def check_golden() -> Callable[[str, str], None]:
    """Compares a text with its golden file; `make golden` writes the file instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("LASTWORDS_UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert path.is_file(), f"{path} is missing: make golden"
        assert text == path.read_text("utf-8"), (
            "if that is meant: make golden, and look at the diff"
        )

    return check
