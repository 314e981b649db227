"""What the page says of the dump beside its stacks: throws, handles, breadcrumbs, its kind."""

from __future__ import annotations

from typing import Any

import pytest

from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.render.text import analysis_lines
from lastwords.report.analysis import (
    Address,
    Analysis,
    CppException,
    CrashInfo,
    Frame,
    FrameKind,
    FrameTrust,
    Handle,
    InlineFrame,
    Lastwords,
    PythonFrame,
    StackOverflow,
    Thread,
    ThreadInfo,
    Throw,
)
from lastwords.report.dump_facts import DumpFacts

DASH = "\N{EN DASH}"


def page(analysis: Analysis, **options: Any) -> list[str]:
    return [line.plain for line in analysis_lines(analysis, TextOptions(**options))]


def native(number: int, function: str, **fields: Any) -> Frame:
    trust = FrameTrust.CFI
    return Frame(frame=number, function=function, module="app", trust=trust, **fields)


def python(number: int, function: str) -> Frame:
    side = PythonFrame(qualname=function, file="/app/model.py", line=number)
    return Frame(frame=number, kind=FrameKind.PYTHON, function=function, python=side)


def crashed(*frames: Frame, throws: tuple[Throw, ...] = (), **info: Any) -> Analysis:
    thread = Thread(thread_id=42, frames=frames)
    crash = CrashInfo(type="SIGSEGV / SEGV_MAPERR", crashing_thread=0, **info)
    return Analysis(threads=(thread,), crashing_thread=thread, crash_info=crash, throws=throws)


def test_a_full_stack_is_told_in_the_headline_and_with_its_size() -> None:
    overflow = StackOverflow(thread=0, stack_bytes=8_388_600, limit_bytes=8_392_704)
    lines = page(crashed(native(0, "f"), address=Address(0x10), stack_overflow=overflow))
    assert lines[0] == "SIGSEGV / SEGV_MAPERR at 0x00000010, stack overflow"
    assert (
        "  stack     the thread's stack is full, 8,388,600 bytes in use, its size is 8,392,704"
        in lines
    )


def test_a_dump_on_demand_is_not_called_a_crash() -> None:
    thread = Thread(thread_id=42, frames=(native(0, "f"),))
    crash = CrashInfo(
        type="DUMP_REQUESTED", address=Address(0x10), crashing_thread=0, instruction="mov [rax], 0"
    )
    analysis = Analysis(threads=(thread,), crashing_thread=thread, crash_info=crash)
    lines = page(analysis)
    assert lines[0] == "No crash: the dump was taken of a running process"
    assert "Thread 0 (42)" in lines
    assert not [line for line in lines if "access" in line or "Crashing" in line]


@pytest.mark.parametrize(
    ("reason", "is_shown"),
    [("SIGABRT / SI_TKILL", False), ("SIGSEGV / SI_KERNEL", True), ("SIGFPE / FPE_INTDIV", True)],
)
def test_the_instruction_explains_a_fault_not_a_sent_signal(reason: str, is_shown: bool) -> None:
    crash = CrashInfo(type=reason, instruction="idiv ecx")
    shown = "  access    instruction idiv ecx" in page(Analysis(crash_info=crash))
    assert shown is is_shown


def test_last_words_come_out_of_the_dump() -> None:
    mechanism = {"last_words": {"source": "python_fatal_error", "text": "Fatal Python error: x"}}
    crash = CrashInfo(type="SIGABRT / SI_TKILL")
    said = Lastwords(metadata={"mechanism": mechanism})
    assert "  said      Fatal Python error: x" in page(Analysis(crash_info=crash, lastwords=said))
    torn = Lastwords(metadata={"mechanism": {"last_words": None}})
    assert not [line for line in page(Analysis(lastwords=torn)) if "said" in line]


def test_where_the_thread_stood_in_the_kernel_stands_above_its_frames() -> None:
    kernel = "S (sleeping)\nwchan: futex_wait\x1b[2J"
    thread = Thread(thread_id=42, frames=(native(0, "f"),), kernel_stack=kernel)
    lines = page(Analysis(threads=(thread,)))
    at = lines.index("Thread 0 (42)")
    assert lines[at + 1] == "  kernel  S (sleeping)"
    assert lines[at + 2].startswith("  kernel  wchan: futex_wait")
    assert "\x1b" not in lines[at + 2]


def test_windows_own_words_are_not_doubled() -> None:
    crash = CrashInfo(type="EXCEPTION_STACK_OVERFLOW", stack_overflow=StackOverflow())
    assert page(Analysis(crash_info=crash))[0] == "EXCEPTION_STACK_OVERFLOW"


def recursion() -> Analysis:
    """Python and native frames in rounds of three, plumbing between them."""
    frames: list[Frame] = [native(0, "heat::step")]
    for _ in range(1_000):
        number = len(frames)
        frames.append(python(number, "visit"))
        frames.append(native(number + 1, "_PyObject_Call", plumbing=True))
        frames.append(native(number + 2, "heat::walk"))
    frames.append(native(len(frames), "main"))
    return crashed(*frames)


def test_a_recursion_through_python_and_native_code_is_shown_once() -> None:
    lines = page(recursion())
    numbered = [line.split()[0] for line in lines if line[:4].strip().isdigit()]
    assert numbered == ["0", "1", "3", "3001"]
    assert f"       … repeated 1,000 times (frames 1{DASH}3,000)" in lines
    assert "       1,998 repeated frames folded: --no-fold" in lines


def test_nothing_is_folded_when_told_so() -> None:
    lines = page(recursion(), is_folded=False)
    assert sum("heat::walk" in line for line in lines) == 1_000
    assert not any("repeated" in line for line in lines)


def test_recursion_that_calls_itself_from_several_lines_is_one() -> None:
    frames = [native(n, "fib", line=n % 2, file="fib.c") for n in range(50)]
    lines = page(crashed(*frames))
    assert f"       … repeated 50 times (frames 0{DASH}49)" in lines


def test_frames_left_out_within_a_recursion_are_counted() -> None:
    frames = [native(n, "fib") for n in range(20)]
    frames[10] = native(10, "fib", omitted_frames=95_904)
    (line,) = [line for line in page(crashed(*frames)) if "repeated about" in line]
    assert f"repeated about 95,924 times (frames 0{DASH}19, and 95,904 left out" in line


def test_what_stands_before_plumbing_that_is_not_shown_is_not_lost() -> None:
    frames = [native(0, "f"), native(1, "p", plumbing=True, omitted_frames=7), native(2, "g")]
    lines = page(crashed(*frames))
    assert "       … 7 frames left out: --max-frames" in lines


def throw(what: str, *frames: Frame, **fields: Any) -> Throw:
    return Throw(type="std::runtime_error", what=what, frames=frames, **fields)


def test_the_throw_that_nobody_caught_has_its_stack_with_inlined_calls() -> None:
    inline = InlineFrame(function="check", file="model.cpp", line=9)
    origin = native(0, "model::load(int)", file="model.cpp", line=12, inlines=(inline,))
    throws = (
        throw("newer", thread=0),
        throw("cold", origin, native(1, "main"), thread=0, is_uncaught=True),
        throw("other", native(0, "io"), thread=None, thread_id=77),
    )
    died_of = CppException(type="std::runtime_error", what="cold", throw=1)
    lines = page(crashed(native(0, "abort"), throws=throws, cpp_exception=died_of))
    assert "  exception C++, not caught: std::runtime_error: cold" in lines
    start = lines.index("C++ exception that nobody caught, thrown in thread 0")
    assert lines[start + 1] == "  std::runtime_error: cold"
    assert lines[start + 2].split() == ["c++", "check", "model.cpp:9", "(inlined)"]
    assert "model::load(int)" in lines[start + 3]
    assert "  thread 0: std::runtime_error: newer" in lines
    ended = "  a thread that has ended (77): std::runtime_error: other, from bin io"
    assert ended in lines


def test_the_newest_throw_of_the_crashing_thread_is_shown_without_a_death_by_exception() -> None:
    throws = (throw("other", thread=1), throw("own", native(0, "f"), thread=0))
    lines = page(crashed(native(0, "g"), throws=throws))
    start = lines.index("C++ exception thrown in thread 0 (newest)")
    assert lines[start + 1] == "  std::runtime_error: own"


def test_a_dependent_exception_shows_the_throw_that_made_its_object() -> None:
    throws = (throw("x", native(0, "rethrow"), thread=0, primary=1), throw("x", native(0, "make")))
    lines = page(crashed(native(0, "f"), throws=throws))
    start = lines.index("The exception was made by a throw in a thread that is not known")
    assert "make" in lines[start + 2]


def test_an_index_that_leads_nowhere_is_ignored() -> None:
    throws = (throw("x", thread=9, primary=99),)
    lines = page(crashed(throws=throws, cpp_exception=CppException(throw=-1)))
    assert "C++ exception thrown in thread 9 (newest)" in lines


def test_a_flood_of_throws_is_counted() -> None:
    lines = page(crashed(throws=tuple(throw(str(n), thread=0) for n in range(100))))
    assert "  91 more: --json" in lines


def test_handles_are_listed_when_asked_for() -> None:
    handles = (
        Handle(handle=3, type_name="File", object_name="/tmp/a\x1b[31m.log"),
        Handle(handle=11, type_name="Socket"),
        Handle(),
    )
    lines = page(Analysis(handles=handles), are_handles_shown=True)
    start = lines.index("Handles")
    assert lines[start + 1 : start + 4] == [
        "       3  File    /tmp/a�[31m.log",
        "      11  Socket",
        "       ?  ?",
    ]
    assert "Handles" not in page(Analysis(handles=handles))
    assert any("not in this dump" in line for line in page(Analysis(), are_handles_shown=True))


def test_the_dump_says_what_it_is_and_what_it_lacks() -> None:
    facts = DumpFacts(
        kind="triage",
        created="2026-11-20T21:05:21Z",
        is_cut=True,
        comments=("procdump -ma 42\n*** first chance",),
        lacks=("heap", "memory_map"),
    )
    lines = page(Analysis(lastwords=Lastwords(dump=facts)))
    made = "  dump      triage, made 2026-11-20T21:05:21Z"
    assert f"{made}; cut: memory was left out; not in it: heap, memory map" in lines
    assert "  comment   procdump -ma 42" in lines
    assert "  comment   *** first chance" in lines


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"time_ns": 1_795_208_721_250_000_000, "message": "opened"}, "  21:05:21.250  opened"),
        ({"level": "info", "category": "ui", "message": "m", "data": {"n": 1}}, None),
        ("plain", "  plain"),
        ({"time_ns": 10**40, "message": "far"}, f"  {10**40}  far"),
        (None, "  null"),
    ],
)
def test_breadcrumbs_of_any_shape_are_a_line_each(entry: object, line: str | None) -> None:
    lines = page(Analysis(lastwords=Lastwords(breadcrumbs=[entry])))
    expected = line or "  info  ui  m  n=1"
    assert lines[lines.index("Breadcrumbs") + 1] == expected


def test_many_breadcrumbs_show_the_newest() -> None:
    lines = page(Analysis(lastwords=Lastwords(breadcrumbs=[str(n) for n in range(100)])))
    start = lines.index("Breadcrumbs")
    assert lines[start + 1 : start + 3] == ["  70 older ones: --json", "  70"]
    assert "Breadcrumbs" not in page(Analysis(lastwords=Lastwords(breadcrumbs={"a": 1})))


def test_times_of_a_thread_stand_in_its_title() -> None:
    info = ThreadInfo(user_s=1.5, kernel_s=0.25)
    lines = page(
        Analysis(threads=(Thread(thread_id=7, info=info), Thread())), stacks=StackChoice.ALL
    )
    assert "Thread 0 (7), 1.75 s of CPU time" in lines
