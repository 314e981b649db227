"""Sessions on real dumps: golden ones, the how-to's own lines, and what a dump cannot answer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from debug_corpus import GOLDEN, Session

from lastwords.cli.debug import command

if TYPE_CHECKING:
    from pathlib import Path

RUST_MINIDUMP = "files/rust-minidump+rust-minidump/testdata"
BREAKPAD = "files/google+breakpad/src/processor/testdata"
LINUX = "files/getsentry+symbolic/symbolic-testutils/fixtures/linux"
EVERYTHING = (
    ".ecxr;kn;kb 4;lm;lmvm *test*;.lastevent;.exr -1;vertarget;r;.frame 1;dv;~;~*kc 4;u @$ip L3;"
    "ln @$ip;db @$csp L20;dps @$csp L4;? @$csp+8;.formats 41;!address @$csp;!handle;!teb;!peb;"
    ".dumpdebug;!error c0000005;!py;!gil;!uniqstack;.foo;g"
)


@dataclass(frozen=True)
class Case:
    name: str
    dump: str
    symbols: str


CASES = [
    Case("windows-x86", f"{RUST_MINIDUMP}/test.dmp", f"{RUST_MINIDUMP}/symbols"),
    Case("windows-x64", f"{RUST_MINIDUMP}/invalid-parameter.dmp", f"{RUST_MINIDUMP}/symbols"),
    Case("linux-x64", f"{LINUX}/mini.dmp", LINUX),
    Case("linux-inline", f"{BREAKPAD}/linux_inline.dmp", f"{BREAKPAD}/symbols"),
    Case(
        "macos-x64", f"{RUST_MINIDUMP}/pipeline-inlines-macos-segv.dmp", f"{RUST_MINIDUMP}/symbols"
    ),
]


def transcript(corpus: Path, case: Case) -> str:
    session = Session(corpus / case.dump, corpus / case.symbols)
    lines: list[str] = []
    for text in EVERYTHING.split(";"):
        lines.append(f"{session.debugger.prompt}{text}")
        lines += session.run(text)
    return "\n".join(lines).replace(str(corpus), "CORPUS") + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_session(corpus: Path, case: Case) -> None:
    text = transcript(corpus, case)
    path = GOLDEN / f"{case.name}.txt"
    if os.environ.get("LASTWORDS_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.is_file(), f"{path} is missing: make golden"
    assert text == path.read_text("utf-8"), "if that is meant: make golden, and look at the diff"


def command_line(corpus: Path, *arguments: str, script: str = "") -> str:
    dump = corpus / CASES[0].dump
    symbols = corpus / CASES[0].symbols
    options = ["-z", str(dump), "-y", str(symbols), "--no-local-modules", *arguments]
    done = CliRunner().invoke(command, options, input=script)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_how_tos_command_line_works_as_shown(corpus: Path) -> None:
    output = command_line(corpus, "-c", ".ecxr;k;q")
    assert "cdb: Reading initial command '.ecxr;k;q'" in output
    after = output.partition("Reading initial command")[2].splitlines()
    assert any(re.match("eax=[0-9a-f]{8} ebx=", line) for line in after)
    assert "  *** Stack trace for last set context - .thread/.cxr resets it" in after
    assert any("test_app!main+0x50" in line for line in after)
    assert after[-1] == "quit:"


def test_a_script_on_stdin_runs_line_by_line_to_its_end(corpus: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    script = tmp_path / "script.txt"
    script.write_text('.echo "from the script"\n* a comment\n? 1+1\n', "utf-8")
    output = command_line(corpus, script=f".logopen {log}\n$><{script}\n.logclose\nq\n? 2+2\n")
    assert "from the script" in output
    assert "Evaluate expression: 2 = 00000002" in output
    assert "Evaluate expression: 4" not in output, "q ends"
    assert "from the script" in log.read_text("utf-8")
    assert "quit" not in log.read_text("utf-8")


def test_threads_are_chosen_listed_and_run_through(corpus: Path) -> None:
    session = Session(corpus / CASES[1].dump)
    count = len(session.debugger.target.threads)
    assert len(session.run("~")) == count
    assert session.debugger.prompt == f"0:{session.debugger.thread:03d}> "
    session.run("~0s")
    assert session.run("~.")[0].startswith(".  0  Id: ")
    assert sum("  Id: " in line for line in session.run("~*k 1")) == count
    assert session.debugger.thread == 0, "running through threads chooses none"
    assert "there are threads" in session.run(f"~{count}s")[0]


def test_a_frame_that_is_chosen_has_its_own_registers(corpus: Path) -> None:
    session = Session(corpus / CASES[0].dump, corpus / CASES[0].symbols)
    session.run(".ecxr")
    newest = session.run("r eip")
    session.run(".frame 1")
    assert session.run("r eip") != newest
    assert session.run("? @eip")[0].endswith(session.run("r eip")[0].removeprefix("eip="))
    assert "not known in this frame" in session.run("r ecx")[0]
    session.run(".cxr")
    assert session.run("r eip") == ["eip=7c90eb94"], "where the thread waits for the dump's writer"
    session.run(".ecxr")
    assert session.run("r eip") == newest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!handle", "does not hold handles"),
        ("!peb", "environment block"),
        ("!py", "does not hold Python's threads"),
        ("db 10 L4", "does not hold this memory"),
        ("!address 10", "memory map"),
        ("!runaway", "times of threads"),
    ],
)
def test_what_a_dump_cannot_answer_names_a_dump_that_could(
    corpus: Path, text: str, said: str
) -> None:
    session = Session(corpus / CASES[0].dump)
    output = "\n".join(session.run(text))
    assert said in output
    assert "A dump that would" in output


def test_output_is_bounded_and_says_so(corpus: Path) -> None:
    session = Session(corpus / CASES[0].dump)
    lines = session.run("dd @esp L?40000")
    assert "more than" not in lines[0]
    assert len(lines) <= 20_001
    assert "Range error" in session.run("dd @esp L?400000")[0]


def test_symbols_that_are_set_later_are_used(corpus: Path) -> None:
    session = Session(corpus / CASES[0].dump)
    assert not any("test_app!main" in line for line in session.run(".ecxr;k"))
    session.run(f".sympath {corpus / CASES[0].symbols}")
    assert any("test_app!main" in line for line in session.run("k"))
    assert any("(breakpad symbols)" in line for line in session.run("lm"))
    assert any("(deferred)" in line for line in session.run("lm"))
    session.run(".reload /f /i")
    assert not any("(deferred)" in line for line in session.run("lm"))


def test_text_of_a_dump_moves_no_cursor(corpus: Path) -> None:
    session = Session(corpus / CASES[0].dump)
    session.run('.echo "a\x1b[31mb"')
    assert session.lines == ["a.[31mb"]
