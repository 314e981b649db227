"""Documents and pages as they are; `make golden` writes them anew."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from corpus_folder import REPOSITORY

from lastwords.analyze import analyze_dump_json, decode_analysis
from lastwords.cli.analyze import command
from lastwords.cli.render.brief import brief_lines
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.render.text import analysis_lines
from lastwords.signature.in_app import InApp

if TYPE_CHECKING:
    from pathlib import Path

DATA = "files/rust-minidump+rust-minidump/testdata"
LINUX = "files/getsentry+symbolic/symbolic-testutils/fixtures/linux"
MERGED = REPOSITORY / "tests/golden/analyze/merged.json"

Check = Callable[[str, str], None]


@dataclass(frozen=True)
class Case:
    name: str
    dump: str
    symbols: str


CASES = [
    Case("windows-x86", f"{DATA}/test.dmp", f"{DATA}/symbols"),
    Case("linux-x86_64", f"{DATA}/linux-mini.dmp", LINUX),
    Case("macos-x86_64", f"{DATA}/pipeline-inlines-macos-segv.dmp", f"{DATA}/symbols"),
]


def page(document: bytes, options: TextOptions, *, is_terminal: bool = False) -> str:
    analysis = decode_analysis(document)
    options = replace(options, in_app=InApp(analysis.modules))
    lines = analysis_lines(analysis, options)
    return "".join(f"{line.coloured if is_terminal else line.plain}\n" for line in lines)


def analyzed(corpus: Path, case: Case) -> bytes:
    dump, symbols = corpus / case.dump, corpus / case.symbols
    return analyze_dump_json(dump, symbols=[symbols], local_modules=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_page(corpus: Path, check_golden: Check, case: Case) -> None:
    check_golden(f"{case.name}.txt", page(analyzed(corpus, case), TextOptions()))


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
def test_golden_document(corpus: Path, check_golden: Check, case: Case) -> None:
    document = json.loads(analyzed(corpus, case))
    text = json.dumps(document, indent=1, ensure_ascii=False).replace(str(corpus), "CORPUS")
    check_golden(f"{case.name}.json", text + "\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_page_with_registers_and_memory(
    corpus: Path, check_golden: Check, case: Case
) -> None:
    options = ["--registers", "--memory", "--threads", "crashing", "--no-local-modules"]
    words = [str(corpus / case.dump), "--symbols", str(corpus / case.symbols), *options]
    done = CliRunner().invoke(command, [*words, "--no-cache"])
    check_golden(f"{case.name}-machine.txt", done.stdout)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_brief(corpus: Path, check_golden: Check, case: Case) -> None:
    analysis = decode_analysis(analyzed(corpus, case))
    lines = brief_lines(analysis, InApp(analysis.modules))
    check_golden(f"{case.name}-brief.txt", "".join(f"{line.plain}\n" for line in lines))


@pytest.mark.parametrize("stacks", list(StackChoice))
def test_golden_page_of_a_merged_stack(check_golden: Check, stacks: StackChoice) -> None:
    text = page(MERGED.read_bytes(), TextOptions(stacks=stacks))
    check_golden(f"merged-{stacks.value}.txt", text)


def test_golden_page_with_plumbing(check_golden: Check) -> None:
    options = TextOptions(stacks=StackChoice.CRASHING, is_plumbing_shown=True)
    check_golden("merged-all-frames.txt", page(MERGED.read_bytes(), options))


def test_golden_help(check_golden: Check) -> None:
    options = {"prog_name": "lastwords analyze", "terminal_width": 100, "max_content_width": 100}
    check_golden("help.txt", CliRunner().invoke(command, ["--help"], **options).stdout)


def test_the_page_says_the_same_with_and_without_colour() -> None:
    plain = page(MERGED.read_bytes(), TextOptions())
    coloured = page(MERGED.read_bytes(), TextOptions(), is_terminal=True)
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
