from __future__ import annotations

import pytest

from lastwords.report.analysis import Frame, FrameKind, InlineFrame, Module
from lastwords.signature.in_app import InApp

WINDOWS = r"C:\Windows\System32\ntdll.dll"


def native(path: str | None, function: str | None = "work", file: str | None = None) -> bool:
    modules = [Module(filename="m", code_file=path)] if path else []
    frame = Frame(module="m" if path else None, function=function, file=file)
    return InApp(modules).frame(frame)


@pytest.mark.parametrize(
    ("path", "is_in_app"),
    [
        ("/home/me/app/app", True),
        ("/opt/app/lib/libengine.so.3", True),
        ("/usr/lib/firefox/libxul.so", True),
        ("/venv/lib/python3.11/site-packages/numpy/core/_multiarray.so", True),
        (r"C:\Program Files\App\app.exe", True),
        ("/Applications/App.app/Contents/MacOS/App", True),
        ("/usr/lib/x86_64-linux-gnu/libfoo.so.1", False),
        ("/lib64/ld-linux-x86-64.so.2", False),
        ("/snap/core/lib/libc.so.6", False),
        ("/system/lib64/libart.so", False),
        ("/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", False),
        ("/venv/lib/python3.11/site-packages/lastwords/_native.abi3.so", False),
        ("/usr/bin/python3.11", False),
        ("/System/Library/Frameworks/AppKit.framework/AppKit", False),
        (WINDOWS, False),
        (r"C:\Windows\SysWOW64\anything.dll", False),
        (None, False),
    ],
)
def test_modules_of_the_system_and_the_interpreter_are_not(
    path: str | None, is_in_app: bool
) -> None:
    assert native(path) is is_in_app
    assert native(path, function=None) is is_in_app


@pytest.mark.parametrize(
    ("function", "file", "is_in_app"),
    [
        ("heat::Plate::relax(int)", "/src/heat.cpp", True),
        ("main", None, True),
        ("start", "/src/game.c", True),
        ("start", None, False),
        ("std::vector<int>::at(int)", "/usr/include/c++/12/vector", False),
        ("std::sort<int*>(int*, int*)", None, False),
        ("core::panicking::panic", None, False),
        ("fetch", "/rustc/abc/library/core/src/cell.rs", False),
        ("_PyEval_EvalFrameDefault", None, False),
        ("abort", None, False),
        ("__tmainCRTStartup", r"f:\dd\vctools\crt\src\crt0.c", False),
    ],
)
def test_runtimes_of_compilers_and_what_programs_die_by_are_not(
    function: str, file: str | None, is_in_app: bool
) -> None:
    assert native("/home/me/app", function, file) is is_in_app


@pytest.mark.parametrize(
    ("file", "is_in_app"),
    [
        ("/srv/app/run.py", True),
        ("/venv/lib/python3.11/site-packages/flask/app.py", True),
        ("/usr/lib/python3.11/threading.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("/venv/lib/python3.11/site-packages/lastwords/sdk/hooks.py", False),
        (None, False),
    ],
)
def test_the_standard_library_of_python_is_not(file: str | None, is_in_app: bool) -> None:
    assert InApp().frame(Frame(kind=FrameKind.PYTHON, function="f", file=file)) is is_in_app


def test_plumbing_is_not() -> None:
    modules = [Module(filename="app", code_file="/home/me/app")]
    assert not InApp(modules).frame(Frame(module="app", function="glue", plumbing=True))


def test_an_inlined_call_is_judged_by_its_own_file_and_name() -> None:
    modules = [Module(filename="app", code_file="/home/me/app")]
    standard = InlineFrame(function="std::min<int>", file="/usr/include/c++/12/algo.h")
    frame = Frame(module="app", function="work", inlines=(standard,))
    in_app = InApp(modules)
    assert (in_app.frame(frame), in_app.inline(frame, standard)) == (True, False)
    assert in_app.any_of(frame)


@pytest.mark.parametrize("pattern", ["libc.so.6", "LIBC*", "*/lib/*", "memcpy", "x86_64-linux-gnu"])
def test_a_pattern_beats_the_rule_and_nothing_else_is_in_app(pattern: str) -> None:
    modules = [
        Module(filename="libc.so.6", code_file="/lib/x86_64-linux-gnu/libc.so.6"),
        Module(filename="app", code_file="/home/me/app"),
    ]
    in_app = InApp(modules, only=[pattern])
    assert in_app.frame(Frame(module="libc.so.6", function="memcpy"))
    assert not in_app.frame(Frame(module="app", function="work"))


def test_what_is_never_in_app_beats_both() -> None:
    frame = Frame(kind=FrameKind.PYTHON, function="f", file="/v/site-packages/flask/app.py")
    assert InApp().frame(frame)
    assert not InApp(never=["flask"]).frame(frame)
    assert not InApp(only=["*.py"], never=["flask"]).frame(frame)


def test_patterns_know_paths_of_windows() -> None:
    modules = [Module(filename="ntdll.dll", code_file=WINDOWS)]
    frame = Frame(module="ntdll.dll", function="RtlFree")
    assert InApp(modules, only=["c:/windows/*"]).frame(frame)
    assert InApp(modules, only=[r"C:\Windows\*"]).frame(frame)
