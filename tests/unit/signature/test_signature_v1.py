"""Signatures of known stacks: what v1 gives today it gives for ever."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from signature_stacks import (
    ABORTING,
    GLUE,
    LIBC,
    PHYSICS,
    PYTHON,
    THREAD_START,
    analysis,
    exception,
    native,
    python,
)

from lastwords.signature import (
    KeyKind,
    frames,
    from_analysis,
    from_exception,
    from_report,
    lists,
    messages,
    names,
    python_names,
    sign,
    v1,
)
from lastwords.signature import result as result_module
from lastwords.signature.lists import digest

SITE = "/opt/app/lib/python3.11/site-packages"

NATIVE_STACKS = {
    "an access violation in C++ called from Python in a thread": (
        analysis(
            native("Grid::at(unsigned long, unsigned long) const"),
            native("(anonymous namespace)::advance(Grid&, double)"),
            *GLUE,
            python("step"),
            *THREAD_START,
        ),
        "SIGSEGV | victim._physics!Grid::at | victim.simulation:step",
    ),
    "the same with the accessor inlined": (
        analysis(
            native("(anonymous namespace)::advance(Grid&, double)", inlines=["Grid::at"]),
            *GLUE,
            python("step"),
        ),
        "SIGSEGV | victim._physics!Grid::at | victim.simulation:step",
    ),
    "a fault inside libc names what was called and who called it": (
        analysis(
            native("__memmove_avx_unaligned_erms", LIBC),
            native("Buffer::fill(char const*)"),
            *GLUE,
            python("load"),
        ),
        "SIGSEGV | libc!memmove | victim._physics!Buffer::fill | victim.simulation:load",
    ),
    "libc's inner functions collapse into the public one": (
        analysis(
            native("unlink_chunk.constprop.0", "libfoo.so"),
            native("malloc_internal_step", LIBC),
            native("__GI___libc_malloc", LIBC),
            native("Buffer::grow()"),
            reason="SIGSEGV",
        ),
        "SIGSEGV: heap corruption | libc!malloc | victim._physics!Buffer::grow",
    ),
    "generic functions do not end the walk": (
        analysis(
            native("std::vector<int, std::allocator<int> >::operator[](unsigned long)"),
            native("Particles::kick(int)"),
            python("step"),
        ),
        (
            "SIGSEGV | victim._physics!std::vector<T>::operator[]"
            " | victim._physics!Particles::kick | victim.simulation:step"
        ),
    ),
    "a failed assertion": (
        analysis(
            *ABORTING,
            native("__assert_fail_base.cold", LIBC),
            native("__assert_fail", LIBC),
            native("Grid::check() const"),
            python("step"),
            reason="SIGABRT",
        ),
        "SIGABRT: assertion | victim._physics!Grid::check | victim.simulation:step",
    ),
    "an uncaught C++ exception blames the thrower": (
        analysis(
            *ABORTING,
            native("__gnu_cxx::__verbose_terminate_handler()", "libstdc++.so.6"),
            native("__cxxabiv1::__terminate(void (*)())", "libstdc++.so.6"),
            native("std::terminate()", "libstdc++.so.6"),
            native("__cxa_throw", "libstdc++.so.6"),
            native("Solver::solve(Matrix const&)"),
            native("std::thread::_State_impl<foo>::_M_run()"),
            native("start_thread", LIBC),
            reason="SIGABRT",
        ),
        "SIGABRT: uncaught C++ exception | victim._physics!Solver::solve",
    ),
    "a double free": (
        analysis(
            *ABORTING,
            native("__libc_message", LIBC),
            native("malloc_printerr", LIBC),
            native("_int_free", LIBC),
            native("__GI___libc_free", LIBC),
            native("Buf::~Buf()"),
            reason="SIGABRT",
        ),
        "SIGABRT: heap corruption? | libc!free | victim._physics!Buf::~Buf",
    ),
    "ctypes called from the application": (
        analysis(
            native("__strlen_avx2", LIBC),
            native("string_at", "_ctypes.cpython-311-x86_64-linux-gnu.so"),
            native("ffi_call_unix64", "libffi.so.8"),
            native("_ctypes_callproc", "_ctypes.cpython-311-x86_64-linux-gnu.so"),
            python("string_at", "/usr/lib/python3.11/ctypes/__init__.py"),
            python("Reader.read", f"{SITE}/victim/reader.py"),
        ),
        "SIGSEGV | libc!strlen | victim.reader:Reader.read",
    ),
    "a call through a null pointer": (
        analysis(
            native(None, None, offset="0x0"),
            native("Dispatcher::fire(Event const&)"),
            python("step"),
        ),
        "SIGSEGV | (unknown code) | victim._physics!Dispatcher::fire | victim.simulation:step",
    ),
    "no symbols for the application's module": (
        analysis(native(None, offset="0x1a40"), native(None, offset="0x1b00"), python("step")),
        "SIGSEGV | victim._physics+0x1a40 | victim.simulation:step",
    ),
    "system code only": (
        analysis(*ABORTING, native("start_thread", LIBC), native("clone3", LIBC), reason="SIGABRT"),
        "SIGABRT: abort | (no frame to tell it by)",
    ),
    "a Windows access violation": (
        analysis(
            native("CrashMe(int)", "App.exe"),
            native("main", "App.exe"),
            native("BaseThreadInitThunk", "KERNEL32.DLL"),
            reason="EXCEPTION_ACCESS_VIOLATION_WRITE",
        ),
        "EXCEPTION_ACCESS_VIOLATION | app!CrashMe",
    ),
    "a Rust panic that aborts": (
        analysis(
            *ABORTING,
            native("std::sys::unix::abort_internal::h0123456789abcdef", "libapp.so"),
            native("rust_panic", "libapp.so"),
            native("core::panicking::panic_bounds_check::hfedcba9876543210", "libapp.so"),
            native("app::parse::{{closure}}::h0011223344556677", "libapp.so"),
            reason="SIGABRT",
        ),
        "SIGABRT: Rust panic | libapp!app::parse::{closure}",
    ),
    "a dump that was asked for": (
        {"status": "OK", "crash_info": {"type": None}, "threads": []},
        "no exception | (no stack)",
    ),
}


@pytest.mark.parametrize("name", NATIVE_STACKS)
def test_native_stack_has_its_signature(name):
    document, expected = NATIVE_STACKS[name]
    assert sign(from_analysis(document)).text == expected


EXCEPTIONS = {
    "raised by the application": (
        exception(
            "ValueError",
            "bad grid",
            ("<module>", "/x/main.py"),
            ("step", f"{SITE}/victim/simulation.py"),
        ),
        "pyexc:ValueError | victim.simulation:step",
    ),
    "raised by the standard library": (
        exception(
            "JSONDecodeError",
            "Expecting value: line 1 column 1 (char 0)",
            ("load.<locals>.once", f"{SITE}/victim/cfg.py"),
            ("loads", "/usr/lib/python3.11/json/__init__.py"),
            ("JSONDecoder.raw_decode", "/usr/lib/python3.11/json/decoder.py"),
            module="json.decoder",
        ),
        "pyexc:json.decoder.JSONDecodeError | victim.cfg:load.once",
    ),
    "in a script": (
        exception(
            "KeyError", "'x'", ("<module>", "/home/alice/run.py"), ("go", "/home/alice/run.py")
        ),
        "pyexc:KeyError | run:go",
    ),
    "in a module beside the script": (
        exception(
            "KeyError", "'x'", ("<module>", "/srv/x/run.py"), ("f", "/srv/x/pkg/deep/mod.py")
        ),
        "pyexc:KeyError | pkg.deep.mod:f",
    ),
    "in a package that was run with -m": (
        exception(
            "RuntimeError",
            "no",
            ("_run_module_as_main", "<frozen runpy>"),
            ("_run_code", "<frozen runpy>"),
            ("<module>", "/w/demo/victim/__main__.py"),
            ("Sim.run", "/w/demo/victim/simulation.py"),
        ),
        "pyexc:RuntimeError | victim.simulation:Sim.run",
    ),
    "in a comprehension of Python 3.11": (
        exception("TypeError", "no", ("total.<locals>.<listcomp>", f"{SITE}/victim/sums.py")),
        "pyexc:TypeError | victim.sums:total",
    ),
    "on Windows": (
        exception("OSError", "no", ("f", "C:\\Py\\Lib\\site-packages\\victim\\io.py")),
        "pyexc:OSError | victim.io:f",
    ),
    "without any frame": (exception("MemoryError", ""), "pyexc:MemoryError"),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exception_has_its_signature(name):
    document, expected = EXCEPTIONS[name]
    assert sign(from_exception(document)).text == expected


def test_endless_recursion_is_the_same_wherever_it_dies():
    cycle = [native("parse_value(Parser&)"), native("parse_list(Parser&)")]
    early = analysis(native("__strlen_avx2", LIBC), *cycle * 60, python("load"))
    late = analysis(cycle[1], *cycle * 41, cycle[0], python("load"))
    first, second = sign(from_analysis(early)), sign(from_analysis(late))
    assert first.text == "SIGSEGV: recursion | victim._physics!parse_list | victim.simulation:load"
    assert (first.text, first.stack_hash) == (second.text, second.stack_hash)


def test_hashes_are_frozen():
    result = sign(from_analysis(NATIVE_STACKS["a failed assertion"][0]))
    assert result.stack_hash == "342ea0bf52ffdc157a0f3c011e17464d"
    assert result.addr_hash == "ce6ac7bd6c4afe980575be992a2a236c"


def test_changing_a_word_list_needs_a_new_version():
    assert digest() == "fb5a9d177cbf04cd"


def test_version_1_is_made_of_its_own_blocks_only():
    """What v1 imports is frozen with it: blocks of this room, nothing that others change."""
    for module in (v1, frames, names, python_names, messages, lists, result_module):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
            name = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            is_own = name.startswith("lastwords.signature.")
            assert is_own or not name.startswith("lastwords"), (module, name)


def kinds(result):
    return [key.kind for key in result.keys]


def test_named_application_frames_group_by_stack_then_signature_then_address():
    result = sign(from_analysis(analysis(native("Grid::at()"), python("step"))))
    assert kinds(result) == [KeyKind.STACK, KeyKind.SIGNATURE, KeyKind.ADDRESS]
    assert result.quality == 1.0


def test_stack_without_symbols_groups_by_address_only():
    first = sign(
        from_analysis(analysis(native(None, offset="0x1a40"), native(None, offset="0x1b0")))
    )
    second = sign(
        from_analysis(analysis(native(None, offset="0x9000"), native(None, offset="0x1b0")))
    )
    assert kinds(first) == [KeyKind.ADDRESS]
    assert first.keys != second.keys
    assert first.quality == 0.0


def test_late_symbols_keep_the_address_key():
    without = sign(from_analysis(analysis(native(None, offset="0x1a40"), python("step"))))
    with_symbols = sign(from_analysis(analysis(native("f()", offset="0x1a40"), python("step"))))
    assert set(without.keys) & set(with_symbols.keys)
    assert with_symbols.is_groupable
    assert not without.is_groupable


def test_one_native_crash_under_two_python_functions_is_two_issues():
    for function in ("Grid::at()", None):
        one = sign(from_analysis(analysis(native(function), *GLUE, python("step"))))
        other = sign(from_analysis(analysis(native(function), *GLUE, python("load"))))
        assert not set(one.keys) & set(other.keys)


def test_system_only_stacks_do_not_form_one_bucket():
    one = analysis(native("poll", LIBC, offset="0x10"), native("select", LIBC, offset="0x20"))
    two = analysis(native("poll", LIBC, offset="0x10"), native("read", LIBC, offset="0x30"))
    first, second = sign(from_analysis(one)), sign(from_analysis(two))
    assert not first.is_groupable
    assert not set(first.keys) & set(second.keys)


def test_doubtful_frames_do_not_group_by_text():
    """Where an abort's stack cannot be walked, scanning finds names that happen to lie there."""
    doubtful = analysis(native(None, LIBC), native("frame_dummy", trust="scan"), reason="SIGABRT")
    result = sign(from_analysis(doubtful))
    assert result.text == "SIGABRT | libc | victim._physics!frame_dummy"
    assert kinds(result) == [KeyKind.ADDRESS]


def test_scanned_frames_lower_the_quality():
    sure = sign(from_analysis(analysis(native("f()"))))
    scanned = sign(from_analysis(analysis(native("f()", trust="scan"))))
    assert sure.quality > scanned.quality


def test_exception_without_frames_groups_by_message():
    one = sign(from_exception(exception("AppError", "job 17 failed", module="app")))
    same = sign(from_exception(exception("AppError", "job 99 failed", module="app")))
    other = sign(from_exception(exception("AppError", "disk full", module="app")))
    assert kinds(one) == [KeyKind.MESSAGE]
    assert one.keys == same.keys
    assert one.keys != other.keys


def test_nothing_known_groups_by_reason():
    assert kinds(sign(from_analysis({}))) == [KeyKind.REASON]


def test_report_about_a_signal_uses_the_dump_and_not_a_pending_exception():
    report = {"mechanism": {"type": "signal"}, "exception": exception("ValueError", "x")}
    dump = analysis(native("Grid::at()"))
    assert sign(from_report(report, dump)).text == "SIGSEGV | victim._physics!Grid::at"
    report = {"mechanism": {"type": "python_exception"}, "exception": exception("ValueError", "x")}
    assert sign(from_report(report, dump)).text == "pyexc:ValueError"


def test_report_without_dump_and_exception_has_its_signal():
    report = {"mechanism": {"type": "signal", "signal": {"name": "SIGKILL"}}}
    assert sign(from_report(report)).text == "SIGKILL | (no stack)"


def test_report_names_the_signal_that_its_dump_does_not():
    report = {"mechanism": {"type": "signal", "signal": {"name": "SIGBUS"}}}
    assert sign(from_report(report, {"threads": []})).text == "SIGBUS | (no stack)"
    assert sign(from_report({}, {"threads": []})).text == "unknown reason | (no stack)"
    assert sign(from_report(report, analysis(native("f()")))).text.startswith("SIGSEGV")


def test_cause_changes_the_stack_hash_and_not_the_text():
    plain = exception("RuntimeError", "x", ("f", f"{SITE}/victim/a.py"))
    caused = {**plain, "cause": exception("KeyError", "y")}
    first, second = sign(from_exception(plain)), sign(from_exception(caused))
    assert first.text == second.text
    assert first.stack_hash != second.stack_hash


def test_every_step_leaves_a_note():
    result = sign(from_analysis(NATIVE_STACKS["a failed assertion"][0]))
    assert {note.step for note in result.notes} >= {"role", "cut", "walk", "keys"}
    assert any("__assert_fail" in note.text for note in result.notes if note.step == "cut")


@pytest.mark.parametrize(
    "document",
    [
        {"crash_info": 7, "threads": "x", "modules": [3]},
        {"crash_info": {"crashing_thread": 10**9, "type": ["x"]}, "threads": [{}]},
        {"crashing_thread": {"frames": [{"function": 5, "module": {}, "inlines": [[]]}, None]}},
        {"crashing_thread": {"frames": [{"kind": "python", "python": 3, "file": 9}]}},
        {"crashing_thread": {"frames": [{"function": "f", "module_offset": "zz"}]}},
    ],
)
def test_foreign_shapes_read_as_absent(document):
    result = sign(from_analysis(document))
    assert result.text
    assert result.keys


def test_hostile_names_are_bounded_and_printable():
    evil = "a\x1b[31m\u202e<script>" * 1000
    result = sign(from_analysis(analysis(native(evil), python(evil, "/x/\x00/" + evil))))
    assert len(result.text) <= 255
    assert result.text.isprintable()


HOSTILE_NAMES = [
    "<",
    "(",
    "<(",
    "()",
    "<>",
    "a<",
    "<a as ",
    "<impl ",
    "{",
    "operator<",
    "a ",
    ".1",
    "[clone ",
]


@pytest.mark.parametrize("piece", HOSTILE_NAMES)
def test_hostile_names_take_bounded_time(piece):
    evil = (piece * 4096)[:4096]
    frames = [native(f"{index}{evil}", f"{index}{evil}.so") for index in range(2000)]
    start = time.process_time()
    result = sign(from_analysis(analysis(*frames)))
    assert time.process_time() - start < 5
    assert result.text.startswith("SIGSEGV")


def test_private_folders_do_not_reach_the_signature():
    for folder in ("/home/alice", "/Users/alice", "C:\\Users\\alice", "/tmp/tmpab12cd34", "/root"):
        document = exception("KeyError", "x", ("f", f"{folder}/worker.py"))
        assert sign(from_exception(document)).text == "pyexc:KeyError | worker:f"


def test_modules_of_both_platforms_have_no_version():
    document = analysis(native("f", "libopenblas64_p-r0-0cf96a72.3.23.dev.so"))
    assert "libopenblas64_p-r0!f" in sign(from_analysis(document)).text
    assert PHYSICS in document["modules"][1]["filename"]
    assert PYTHON == "python3.11"
