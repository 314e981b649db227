"""`lastwords symbols`: what its verbs print, and their exit statuses."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from lastwords.cli.symbols import command
from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from pathlib import Path

BUILD_ID = "20a5ea22166c6b0f9cd9291334d716e2f023393e"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    (folder / "run.c").write_text("int run(int value) {\n    return value * 3;\n}\n")
    words = ["cc", "-shared", "-fPIC", "-g", f"-Wl,--build-id=0x{BUILD_ID}", "-o", "librun.so"]
    subprocess.run([*words, "run.c"], cwd=folder, check=True)
    return folder / "librun.so"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def address_of_run(library: Path) -> str:
    listed = subprocess.run(["nm", library], check=True, capture_output=True, text=True).stdout
    return next(line.split()[0] for line in listed.splitlines() if line.endswith(" T run"))


def test_lookup_prints_function_file_and_line(library: Path) -> None:
    address = address_of_run(library)
    result = run("lookup", library, address)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{int(address, 16):#x}"
    assert result.stdout.splitlines()[1].startswith("  run+0x0  ")
    assert result.stdout.rstrip().endswith("run.c:1")


def test_lookup_of_nothing_is_5_under_strict(library: Path) -> None:
    assert run("lookup", library, "0xffffffff").exit_code == 0
    assert run("lookup", library, "0xffffffff", "--strict").exit_code == 5


@pytest.mark.parametrize("text", ["zz", "-1", "0x1" + "0" * 16])
def test_lookup_refuses_what_is_no_address(library: Path, text: str) -> None:
    assert run("lookup", library, "--", text).exit_code == 2


def test_convert_writes_a_file_that_says_the_same(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.sym"
    result = run("convert", library, "-o", out, "--json")
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["file"] == str(out)
    assert report["functions"] > 0
    assert report["lines"] > 0
    assert out.read_text().startswith(f"MODULE Linux x86_64 {report['debug_id']} librun.so\n")
    address = address_of_run(library)
    said = [json.loads(run("lookup", file, address, "--json").stdout) for file in (library, out)]
    assert said[0]["lookups"] == said[1]["lookups"]


def test_convert_into_a_store_makes_its_layout(library: Path, tmp_path: Path) -> None:
    result = run("convert", library, "--store", tmp_path, "--name", "app", "--json")
    report = json.loads(result.stdout)
    assert report["file"] == str(tmp_path / "app" / report["debug_id"] / "app.sym")


def test_convert_refuses_what_is_no_symbol_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(SymbolsError) as caught:
        run("convert", tmp_path / "a.txt", "-o", tmp_path / "a.sym")
    assert caught.value.exit_status == 3
    assert not (tmp_path / "a.sym").exists()


def test_find_takes_the_id_of_a_module(library: Path) -> None:
    result = run("find", BUILD_ID, "--symbols", library.parent, "--json")
    module = json.loads(result.stdout)["modules"][0]
    assert (module["status"], module["kind"], module["path"]) == ("loaded", "dwarf", str(library))
    assert run("find", "00" * 20, "--symbols", library.parent, "--strict").exit_code == 5


def test_add_and_harvest_print_what_they_did(library: Path, tmp_path: Path) -> None:
    added = json.loads(run("add", library, "--store", tmp_path, "--json").stdout)["files"]
    assert added[0]["build_id"] == BUILD_ID
    assert len(added[0]["places"]) == 2
    harvested = run("harvest", library.parent)
    assert "1 native files, 1 with lines." in harvested.stderr


def test_fetch_without_a_server_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(SymbolsError) as caught:
        run("fetch", tmp_path / "a.dmp")
    assert (caught.value.code, caught.value.exit_status) == ("symbols_no_servers", 2)


@pytest.mark.parametrize(
    "verb", ["add", "convert", "fetch", "find", "harvest", "lookup", "missing"]
)
def test_every_verb_has_an_example_and_json(verb: str) -> None:
    text = run(verb, "--help").stdout
    assert f"lastwords symbols {verb} " in text
    assert "--json" in text
