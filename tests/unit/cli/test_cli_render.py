from __future__ import annotations

import pytest

from lastwords.cli.render.clean import clean, short_path
from lastwords.cli.render.facts import headline, process_facts
from lastwords.cli.render.stack import stack_lines
from lastwords.report.analysis import (
    Address,
    Analysis,
    CrashInfo,
    Frame,
    FrameKind,
    FrameTrust,
    InlineFrame,
    MemoryAccess,
    PythonFrame,
    System,
    Thread,
    UnknownFrames,
)


def shown(*frames: Frame, is_plumbing_shown: bool = False) -> list[str]:
    lines = stack_lines(Thread(frames=frames), is_plumbing_shown=is_plumbing_shown)
    return [line.plain.strip() for line in lines]


def test_what_would_move_the_cursor_is_replaced() -> None:
    assert clean("a\x1b[31mb\nc\u202ed") == "a�[31mb�c�d"
    assert clean("größe") == "größe"
    assert len(clean("x" * 9999)) == 401


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("/a/b.c", "/a/b.c"),
        ("/home/user/app/src/grid.cpp", "…/app/src/grid.cpp"),
        (r"c:\work\app\src\grid.cpp", r"…\app\src\grid.cpp"),
        ("grid.cpp", "grid.cpp"),
    ],
)
def test_paths_are_cut_to_their_end(path: str, short: str) -> None:
    assert short_path(path) == short


@pytest.mark.parametrize(
    ("file", "function", "mark"),
    [
        ("a.cpp", "f", "c++"),
        ("a.c", "f", "c"),
        ("a.h", "f", "c"),
        ("a.h", "ns::f(int)", "c++"),
        ("/usr/include/c++/12/vector", "std::vector<int>::at(int)", "c++"),
        ("lib.rs", "core::f", "rust"),
        ("clone3.S", "clone3", "asm"),
        (None, "f", "bin"),
    ],
)
def test_the_mark_is_the_language(file: str | None, function: str, mark: str) -> None:
    (line,) = shown(Frame(function=function, file=file, line=1, trust=FrameTrust.CFI))
    assert line.split()[:3] == ["0", mark, function]


def test_python_frames_are_marked() -> None:
    python = PythonFrame(qualname="Grid.step")
    frame = Frame(kind=FrameKind.PYTHON, function="Grid.step", trust=FrameTrust.PYTHON)
    (line,) = shown(
        Frame(**{f: getattr(frame, f) for f in ("kind", "function", "trust")}, python=python)
    )
    assert line.startswith("0  py    Grid.step")
    assert "unplaced" in line


def test_inlined_calls_stand_before_their_frame_newest_first() -> None:
    inlines = (InlineFrame(function="cell"), InlineFrame(function="row"))
    lines = shown(Frame(function="step", file="a.c", trust=FrameTrust.CFI, inlines=inlines))
    assert [line.split()[-2 if "inlined" in line else 2] for line in lines] == [
        "cell",
        "row",
        "step",
    ]


def test_a_guessed_frame_says_so() -> None:
    (line,) = shown(Frame(function="f", trust=FrameTrust.SCAN, module="libc.so.6"))
    assert line.endswith("(libc.so.6, a guess: found by scanning)")


def test_plumbing_is_folded_and_counted() -> None:
    frames = (
        Frame(frame=0, function="list_sort", trust=FrameTrust.CFI),
        Frame(frame=1, function="method_vectorcall", trust=FrameTrust.CFI, plumbing=True),
    )
    assert len(shown(*frames, is_plumbing_shown=True)) == 2
    folded = shown(*frames)
    assert folded[0].endswith("list_sort")
    assert folded[1] == "1 frame of the interpreter's call plumbing folded: --all-frames"


def test_gaps_are_shown() -> None:
    unknown = UnknownFrames(about=2, stack_bytes=1096)
    gap = Frame(function="f", trust=FrameTrust.CFI, unknown_frames=unknown)
    assert shown(gap)[0] == "… about 2 unknown native frames, 1,096 bytes of stack"
    unknown = UnknownFrames(about=1)
    gap = Frame(function="f", trust=FrameTrust.CFI, unknown_frames=unknown)
    assert shown(gap)[0] == "… about 1 unknown native frame"
    cut = Frame(function="f", trust=FrameTrust.CFI, omitted_frames=12)
    assert shown(cut)[0] == "… 12 frames left out: --max-frames"


def test_a_frame_without_a_name_is_its_place_in_the_module() -> None:
    frame = Frame(module="a.so", module_offset=Address(0x12F), trust=FrameTrust.CFI)
    assert shown(frame)[0].endswith("a.so+0x12f")
    assert shown(Frame(offset=Address(0x10), trust=FrameTrust.CFI))[0].endswith("0x00000010")
    assert shown()[0] == "no frames"


def facts(analysis: Analysis) -> dict[str, str]:
    lines = [line.plain for line in process_facts(analysis)]
    return {line.split()[0]: line[12:] for line in lines}


def test_the_access_is_told_in_words() -> None:
    access = MemoryAccess(address=Address(0x40), size=8, access_type="write")
    info = CrashInfo(type="SIGSEGV", address=Address(0x45), memory_accesses=(access,))
    assert facts(Analysis(crash_info=info))["access"] == "writing 8 bytes at 0x00000040"
    other = CrashInfo(type="SIGSEGV", address=Address(0x99), memory_accesses=(access,))
    assert "access" not in facts(Analysis(crash_info=other))
    assert headline(Analysis(crash_info=other)).plain == "SIGSEGV at 0x00000099"


def test_the_release_of_linux_is_said_once() -> None:
    system = System(os="Linux", os_ver="6.1.0 Linux 6.1.0-18-amd64 #1 SMP", cpu_arch="amd64")
    assert facts(Analysis(system_info=system))["system"] == "Linux 6.1.0-18-amd64 #1 SMP, amd64"


def test_a_flood_of_annotations_is_cut() -> None:
    lines = list(process_facts(Analysis(annotations={f"k{n}": "v" for n in range(100)})))
    assert lines[-1].plain.endswith("60 more annotations: --json")
