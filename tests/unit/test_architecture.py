"""What docs/architecture.md says of the tree is true of the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src/lastwords"
ROOMS_WITH_NATIVE_CORE = {"sdk", "monitor", "analyze", "symbols"}


def _imported_names(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_only_four_rooms_import_the_native_core() -> None:
    importers = {
        _room(file)
        for file in PACKAGE.rglob("*.py")
        if "lastwords._native" in _imported_names(file)
    }
    assert importers
    assert importers <= ROOMS_WITH_NATIVE_CORE


def test_every_room_is_described() -> None:
    described = (REPOSITORY / "docs/architecture.md").read_text("utf-8")
    rooms = {_room(file) for file in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert {room for room in rooms if f"`{room}`" not in described} == set()


def test_every_crate_is_described() -> None:
    described = (REPOSITORY / "docs/architecture.md").read_text("utf-8")
    crates = {manifest.parent.name for manifest in (REPOSITORY / "crates").glob("*/Cargo.toml")}
    assert {crate for crate in crates if f"`{crate}`" not in described} == set()


def _paths_named_in(document: Path) -> list[str]:
    text = document.read_text("utf-8")
    return sorted(set(re.findall(r"`((?:src|crates|docs|tests)/[\w./<>-]+)`", text)))


@pytest.mark.parametrize("named", _paths_named_in(REPOSITORY / "docs/architecture.md"))
def test_every_path_that_the_architecture_names_exists(named: str) -> None:
    pattern = re.sub(r"<\w+>", "*", named).rstrip("/")
    assert list(REPOSITORY.glob(pattern)), f"docs/architecture.md names {named}, which is not there"


def _links_in(document: Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize(
    "document",
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    broken = [target for target in _links_in(document) if not (document.parent / target).exists()]
    assert broken == []
