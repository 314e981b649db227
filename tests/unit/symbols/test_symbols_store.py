from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import pytest
from symbol_server import STAMP, SYM, SYM_ID, cabinet, pe_image

from lastwords.errors import SymbolsError
from lastwords.symbols import WantedModule, find_symbols
from lastwords.symbols.harvest import harvest_environment
from lastwords.symbols.store import add_files

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Built

BUILD_ID = "20a5ea22166c6b0f9cd9291334d716e2f023393e"
DEBUG_ID = "22EAA5206C160F6B9CD9291334D716E20"


def test_each_kind_has_its_place(tmp_path: Path, built: Built) -> None:
    sym, image, packed = tmp_path / "a.sym", tmp_path / "app.exe", tmp_path / "app.ex_"
    sym.write_bytes(SYM)
    image.write_bytes(pe_image())
    packed.write_bytes(cabinet("app.exe", pe_image()))
    store = tmp_path / "store"
    added = add_files([sym, image, packed, built.debug, built.stripped], store)
    places = [[str(place.relative_to(store)) for place in one.places] for one in added]
    assert places == [
        [f"libapp.so/{SYM_ID}/libapp.so.sym"],
        [f"app.exe/{STAMP}/app.exe"],
        [f"app.exe/{STAMP}/app.ex_"],
        [f".build-id/{BUILD_ID[:2]}/{BUILD_ID[2:]}.debug"],
        [f"stripped.so/elf-buildid-{BUILD_ID}/stripped.so"],
    ]
    assert all(place.is_file() for one in added for place in one.places)


def test_what_a_store_keeps_is_found_again(tmp_path: Path, built: Built) -> None:
    add_files([built.debug], tmp_path)
    module = WantedModule(code_file="/gone/librun.so", code_id=BUILD_ID, debug_id=DEBUG_ID)
    found = find_symbols([module], [tmp_path], local_modules=False)[0]
    assert (found.status, found.kind) == ("loaded", "dwarf")
    other = WantedModule(code_file="/gone/librun.so", code_id="00" * 20, debug_id="0" * 32 + "1")
    assert find_symbols([other], [tmp_path], local_modules=False)[0].status != "loaded"


def test_nothing_is_stored_when_one_file_cannot_be(tmp_path: Path, built: Built) -> None:
    (tmp_path / "notes.txt").write_text("no symbols")
    with pytest.raises(SymbolsError) as caught:
        add_files([built.debug, tmp_path / "notes.txt"], tmp_path / "store")
    assert caught.value.code == "symbol_file_unusable"
    assert not (tmp_path / "store").exists()
    with pytest.raises(SymbolsError) as caught:
        add_files([tmp_path / "nowhere"], tmp_path / "store")
    assert caught.value.code == "symbol_file_not_readable"


def test_an_environment_is_harvested_by_wheel(tmp_path: Path, built: Built) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    extension = site / "pkg/_core.abi3.so"
    bundled = site / "pkg.libs/librun-1234.so.1"
    for path, source in ((extension, built.stripped), (bundled, built.whole)):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    shutil.copy(built.debug, extension.with_name("_core.abi3.so.debug"))
    record = site / "pkg-1.2.dist-info/RECORD"
    record.parent.mkdir()
    with record.open("w", newline="") as file:
        csv.writer(file).writerows([["pkg/_core.abi3.so", "", ""], ["pkg/__init__.py", "", ""]])
    found = {one.path.name: one for one in harvest_environment(tmp_path)}
    assert found["_core.abi3.so"].wheel == "pkg 1.2"
    assert found["_core.abi3.so"].debug_file == extension.with_name("_core.abi3.so.debug")
    assert found["librun-1234.so.1"].wheel == "(no wheel)"
    assert all(one.has_debug_info for one in found.values())
    assert all(one.id_text == BUILD_ID for one in found.values())


def test_a_debug_file_of_another_build_is_not_taken(tmp_path: Path, built: Built) -> None:
    shutil.copy(built.stripped, tmp_path / "a.so")
    other = tmp_path / "a.so.debug"
    shutil.copy(built.debug, other)
    data = other.read_bytes().replace(bytes.fromhex(BUILD_ID), bytes.fromhex("11" * 20))
    other.write_bytes(data)
    assert harvest_environment(tmp_path)[0].debug_file is None
