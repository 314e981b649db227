"""The pages of the private formats say what their source says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).parents[2]


def _generator() -> ModuleType:
    path = REPOSITORY / "docs/formats/from_source.py"
    spec = importlib.util.spec_from_file_location("from_source", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("name", GENERATOR.PAGES)
def test_a_page_is_what_its_source_says(name: str) -> None:
    written = (REPOSITORY / "docs/formats" / name).read_text("utf-8")
    assert written == GENERATOR.page(name), "run `make docs`"


@pytest.mark.parametrize("name", GENERATOR.PAGES)
def test_a_page_has_an_offset_table(name: str) -> None:
    assert "| offset | size | type | field |" in GENERATOR.page(name)
