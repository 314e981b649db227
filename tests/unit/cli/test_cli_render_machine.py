"""Registers, memory, code, the few lines, the state of symbols, in-app frames on the page."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lastwords.analyze.machine import Instruction, MachineState, MemoryWindow
from lastwords.cli.render.brief import brief_lines
from lastwords.cli.render.memory import code_lines, window_lines
from lastwords.cli.render.modules import module_lines
from lastwords.cli.render.options import TextOptions
from lastwords.cli.render.registers import register_lines
from lastwords.cli.render.sources import SourceView
from lastwords.cli.render.styled import Text, is_coloured
from lastwords.cli.render.text import analysis_lines
from lastwords.report.analysis import (
    Address,
    Analysis,
    CrashInfo,
    Frame,
    FrameTrust,
    MemoryAccess,
    Module,
    ModuleSymbols,
    Thread,
)
from lastwords.signature.in_app import InApp
from lastwords.symbols.source_files import SourceFiles

if TYPE_CHECKING:
    from pathlib import Path

APP = Module(filename="app", code_file="/home/me/app")


def frame(number: int, function: str, module: str = "app") -> Frame:
    return Frame(frame=number, function=function, module=module, trust=FrameTrust.CFI)


def crash(*frames: Frame) -> Analysis:
    access = MemoryAccess(address=Address(0), size=4, access_type="read")
    info = CrashInfo(
        type="SIGSEGV", address=Address(0), crashing_thread=0, memory_accesses=(access,)
    )
    thread = Thread(thread_id=7, thread_name="main", frames=frames)
    return Analysis(
        crash_info=info, threads=(thread,), crashing_thread=thread, modules=(APP,), main_module=0
    )


ANALYSIS = crash(frame(0, "memcpy", "libc.so.6"), frame(1, "work"), frame(2, "main"))


def page(analysis: Analysis = ANALYSIS, **options: object) -> list[str]:
    chosen = TextOptions(in_app=InApp(analysis.modules), **options)  # type: ignore[arg-type]
    return [line.plain for line in analysis_lines(analysis, chosen)]


def test_in_app_frames_are_marked_without_colour_and_bold_with_it() -> None:
    marked = [line for line in page() if line[:1] == "*"]
    assert [line.split()[3] for line in marked] == ["work", "main"]
    assert "       * in-app; --in-app PATTERN says what is" in page()
    options = TextOptions(in_app=InApp(ANALYSIS.modules))
    coloured = [line.coloured for line in analysis_lines(ANALYSIS, options)]
    assert any("\x1b[1mwork" in line for line in coloured)
    assert not any("\x1b[1mmemcpy" in line for line in coloured)


def test_source_lines_stand_below_the_first_in_app_frames(tmp_path: Path) -> None:
    path = tmp_path / "run.c"
    path.write_text("one\n\ttwo\x1b\nthree\n")
    files = SourceFiles((), unchanged_since=time.time() + 60)
    names = ("memcpy", "libc.so.6"), ("first", "app"), ("second", "app")
    frames = [
        replace(frame(number, *name), file=str(path), line=2) for number, name in enumerate(names)
    ]
    lines = page(crash(*frames), sources=SourceView(files, max_frames=1, context=1))
    at = next(number for number, line in enumerate(lines) if " first " in line)
    assert lines[at + 1 : at + 4] == [
        "                1  one",
        "          >     2      two\N{REPLACEMENT CHARACTER}",
        "                3  three",
    ]
    assert lines[at + 4].startswith("*  2  c     second")
    assert sum(">" in line for line in lines) == 1


def test_without_in_app_frames_there_is_no_legend() -> None:
    assert not any("in-app" in line for line in page(crash(frame(0, "memcpy", "libc.so.6"))))


def test_brief_is_the_reason_the_place_and_the_in_app_frames() -> None:
    lines = [line.plain for line in brief_lines(ANALYSIS, InApp(ANALYSIS.modules))]
    assert lines == [
        "SIGSEGV at 0x00000000: reading 4 bytes at 0x00000000",
        "in bin memcpy (libc.so.6), thread 0 main of app",
        "*  1  bin   work  (app)",
        "*  2  bin   main  (app)",
    ]


def test_brief_of_a_deep_stack_is_still_brief() -> None:
    analysis = crash(*(frame(number, f"work{number}") for number in range(100)))
    lines = [line.plain for line in brief_lines(analysis, InApp(analysis.modules))]
    assert len(lines) == 15
    assert lines[-1].strip() == "88 older in-app frames"


def test_brief_of_nothing_says_so() -> None:
    lines = [line.plain for line in brief_lines(Analysis(), InApp())]
    assert lines[1] == "in a process whose name is not known"


def test_registers_stand_in_columns_in_the_order_of_their_processor() -> None:
    names = ("rip", "r10", "rax", "r9", "rsp", "efl", "cs", "xmm0", "xmm0h")
    lines = [t.plain for t in register_lines(dict.fromkeys(names, 65), 8)]
    assert [word for word in lines[0].split() if not word.startswith("0")] == [
        "rax", "rsp", "r9", "r10",
    ]  # fmt: skip
    assert lines[1].split() == ["rip", f"{0x41:016x}"]
    assert lines[2].split() == ["cs", "0041"]
    assert lines[3].split() == ["efl", "00000041", "CF", "ZF"]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("registers", "pointer_bytes", "first"),
    [
        ({"eip": 1, "eax": 2}, 4, "eax 00000002  eip 00000001"),
        ({"pc": 1, "x10": 2, "x9": 3, "lr": 4}, 8, "x9"),
        ({"pc": 1, "r2": 2, "r10": 3}, 4, "r2"),
        ({"s10": 1, "s2": 2}, 8, "s2"),
    ],
)
def test_registers_of_every_processor(
    registers: dict[str, int], pointer_bytes: int, first: str
) -> None:
    line = next(register_lines(registers, pointer_bytes)).plain
    assert line.strip().startswith(first)


def test_memory_is_rows_of_digits_and_characters() -> None:
    data = (*b"ABCDEFGH", *[None] * 4, 0, 0x7F, 0x20, 0xFF, *[None] * 16, *b"x", *[None] * 15)
    window = MemoryWindow(what="", address=0x1022, start=0x1000, data=data)
    rows = [line.plain for line in window_lines(window, 4)]
    assert rows[0] == (
        "    00001000  41 42 43 44 45 46 47 48  ?? ?? ?? ?? 00 7f 20 ff  ABCDEFGH    .. ."
    )
    assert rows[1].startswith("  > 00001020  78 ?? ")
    assert len(rows) == 2  # what is not there at all takes no row


def test_memory_that_is_not_in_the_dump_says_so() -> None:
    window = MemoryWindow(what="", address=0, start=0, data=(None,) * 32)
    (line,) = window_lines(window, 8)
    assert "nothing in this dump" in line.plain


def test_the_current_instruction_is_marked() -> None:
    code = (
        Instruction(address=1, code="90", text="nop"),
        Instruction(address=2, code="8b00", text="mov     eax,[rax]", is_current=True),
    )
    lines = [line.plain for line in code_lines(code, 4)]
    assert lines == ["    00000001  90    nop", "  > 00000002  8b00  mov     eax,[rax]"]


def test_registers_and_memory_stand_below_the_crashing_stack() -> None:
    state = MachineState(
        thread=0,
        pointer_bytes=8,
        registers={0: {"rip": 1}, 1: {"rip": 2}},
        windows=(MemoryWindow(what="around the fault", address=0, start=0, data=(1,) * 16),),
    )
    lines = page(machine=state, are_registers_shown=True, is_memory_shown=True)
    titles = [line for line in lines if line and not line.startswith((" ", "*"))]
    assert titles[1:4] == [
        "Crashing thread 0 main (7)",
        "Registers of thread 0; of older frames those that are known",
        "Memory around the fault, 0x0000000000000000",
    ]
    assert "  frame 1  bin work" in lines
    without = page(machine=state, is_memory_shown=True)
    assert not any(line.startswith("Registers") for line in without)


@pytest.mark.parametrize(
    ("flags", "symbols", "words"),
    [
        ({"loaded_symbols": True}, ("loaded", "dwarf", None), "full symbols (DWARF)"),
        ({"loaded_symbols": True}, ("loaded", "pdb", None), "full symbols (PDB)"),
        ({"loaded_symbols": True}, ("loaded", "symbol_table", None), "exports only, no lines"),
        ({"loaded_symbols": True}, ("loaded", "cfi_only", None), "unwind tables only, no names"),
        ({"missing_symbols": True}, ("missing", None, None), "no symbols  debug id AB1"),
        ({"missing_symbols": True}, ("no_id", None, None), "the dump has no id of it"),
        (
            {"missing_symbols": True},
            ("mismatched", None, "/s/app.sym"),
            "mismatched symbols  debug id AB1; /s/app.sym is of another build",
        ),
        (
            {"missing_symbols": True, "corrupt_symbols": True},
            ("malformed", None, "/s/app.sym"),
            "symbols damaged  debug id AB1; /s/app.sym",
        ),
    ],
)
def test_the_state_of_symbols_is_told_in_words(
    flags: dict[str, bool], symbols: tuple[str, str | None, str | None], words: str
) -> None:
    status, kind, path = symbols
    found = ModuleSymbols(status=status, kind=kind, path=path)
    module = Module(filename="app", debug_id="AB1", symbols=found, **flags)
    (line,) = module_lines(Analysis(modules=(module,)))
    assert words in line.plain


def test_no_color_beats_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert is_coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured()


def test_a_style_holds_for_its_piece_alone() -> None:
    line = Text("a", style="bold red").append("b").append(" ", style="dim")
    line.rstrip()
    assert (line.plain, line.coloured) == ("ab", "\x1b[1;31ma\x1b[0mb")
