"""The reference says what the code says, and every verb shows how it is used."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lastwords.cli.main import VERBS

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).parents[2]


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _module("docs/generate.py")
FORMATS = _module("docs/formats/from_source.py")


@pytest.mark.parametrize("name", GENERATOR.REFERENCE)
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    written = (REPOSITORY / "docs/reference" / name).read_text("utf-8")
    assert written == GENERATOR.REFERENCE[name](), "run `make docs`"


@pytest.mark.parametrize("name", FORMATS.PAGES)
def test_the_page_of_a_private_format_is_what_its_source_says(name: str) -> None:
    written = (REPOSITORY / "docs/formats" / name).read_text("utf-8")
    assert written == FORMATS.page(name), "run `make docs`"
    assert "| offset | size | type | field |" in written


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_help_of_every_verb_has_an_example(verb: str) -> None:
    command = importlib.import_module(f"lastwords.cli.{verb}").command
    lines = list(GENERATOR._help_of(f"lastwords {verb}", command, level=2))
    assert "Example" in "\n".join(lines)


def test_every_verb_is_a_file_and_every_file_a_verb_or_a_part() -> None:
    parts = {"__init__", "analyses", "analyze_arguments", "analyze_many", "kinds", "main"}
    parts |= {"server", "spools"}
    parts |= {"source_search", "symbol_files", "symbol_options", "symbol_search", "symbol_verbs"}
    files = {path.stem for path in (REPOSITORY / "src/lastwords/cli").glob("*.py")}
    assert files - parts == set(VERBS)
