"""What a signature is made from, when the dump knows more than a stack."""

from __future__ import annotations

from typing import Any

import pytest

from lastwords.signature import from_analysis, sign


def frame(function: str, module: str = "libapp.so", **more: Any) -> dict[str, Any]:
    fields = {"module_offset": "0x100", "trust": "cfi", "kind": "native"}
    return {"function": function, "module": module, **fields, **more}


def python(function: str) -> dict[str, Any]:
    side = {"qualname": function, "file": "/opt/site-packages/app/model.py", "line": 3}
    return {"kind": "python", "function": function, "python": side}


ABORT = [
    frame("raise", "libc.so.6"),
    frame("abort", "libc.so.6"),
    frame("__gnu_cxx::__verbose_terminate_handler()", "libstdc++.so.6"),
    frame("std::terminate()", "libstdc++.so.6"),
]


def analysis(frames: list[dict[str, Any]], **crash: Any) -> dict[str, Any]:
    thread = {"frames": frames}
    info = {"type": "SIGABRT / SI_TKILL", "crashing_thread": 0, **crash}
    return {"crash_info": info, "threads": [thread], "crashing_thread": thread}


def uncaught(throw: int | None = 0, type_name: str = "app::Error") -> dict[str, Any]:
    return {"cpp_exception": {"type": type_name, "what": "no gravity in scene 17", "throw": throw}}


def test_an_uncaught_exception_groups_by_its_type_and_the_place_of_the_throw() -> None:
    stack = [*ABORT, frame("__cxa_throw", "libstdc++.so.6"), frame("app::load(int)"), python("run")]
    signed = sign(from_analysis(analysis(stack, **uncaught(None))))
    assert signed.parts[0] == "SIGABRT: app::Error: uncaught C++ exception"
    assert signed.parts[1:] == ("libapp!app::load", "app.model:run")
    other = sign(from_analysis(analysis(stack, **uncaught(None, "app::Other"))))
    assert {key.hash for key in signed.keys[:2]}.isdisjoint(key.hash for key in other.keys)


def test_a_stack_that_was_unwound_begins_at_the_throw() -> None:
    stack = [*ABORT, frame("app::quiet_noexcept()"), python("run")]
    document = analysis(stack, **uncaught())
    thrown = [frame("__cxa_throw", "libstdc++.so.6"), frame("app::load(int)")]
    document["throws"] = [{"frames": thrown}]
    signed = sign(from_analysis(document))
    assert signed.parts[1:] == ("libapp!app::load", "app.model:run")


def test_a_rethrown_object_begins_at_its_first_throw() -> None:
    document = analysis([*ABORT, frame("app::wait()")], **uncaught())
    document["throws"] = [
        {"frames": [frame("app::rethrow()")], "primary": 1},
        {"frames": [frame("app::load(int)")], "primary": None},
    ]
    assert sign(from_analysis(document)).parts[1:] == ("libapp!app::load",)


@pytest.mark.parametrize("throw", [-1, 1, 10**30, True, "0", None])
@pytest.mark.parametrize("throws", [None, [], [None], "text", [{"frames": 7, "primary": 0}]])
def test_throws_that_are_no_throws_leave_the_stack(throw: Any, throws: Any) -> None:
    document = analysis([*ABORT, frame("app::load(int)")], **uncaught(throw))
    document["throws"] = throws
    assert sign(from_analysis(document)).parts[1:] == ("libapp!app::load",)


def test_a_full_stack_says_so_where_no_frame_does() -> None:
    full = analysis([], type="SIGSEGV / SEGV_MAPERR", stack_overflow={"thread": 0})
    assert from_analysis(full).message == "stack overflow"
    plain = analysis([], type="SIGSEGV / SEGV_MAPERR", stack_overflow=None)
    assert from_analysis(plain).message is None
    assert sign(from_analysis(full)).keys != sign(from_analysis(plain)).keys


def test_reports_without_these_facts_are_signed_as_before() -> None:
    stack = [*ABORT, frame("app::load(int)")]
    before = sign(from_analysis(analysis(stack)))
    assert sign(from_analysis(analysis(stack, cpp_exception=None, stack_overflow=None))) == before
