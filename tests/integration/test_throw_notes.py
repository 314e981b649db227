"""A C++ exception that becomes a Python exception takes the stack of its throw along."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from dying import DEADLINE_S, PROGRAMS, REPOSITORY_SOURCE, Home, for_any_interpreter

pytestmark = pytest.mark.integration

BINDINGS = PROGRAMS / "bindings"
COMMON = ("-O1", "-fPIC", "-shared", "-std=c++17", f"-I{BINDINGS}")
STATIC = ("-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL")


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        pytest.skip(f"{name} is not installed: pip install -r requirements/dev.txt")
    return Path(found.origin).parent


def _compile(output: Path, *arguments: str | Path) -> None:
    done = subprocess.run(
        ["g++", *COMMON, "-o", output, *arguments],
        capture_output=True,
        text=True,
        timeout=5 * DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _headers(python: str) -> str:
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout


@functools.cache
def _capi(folder: Path, python: str, *flags: str) -> Path:
    _compile(
        folder / "with_capi.so", *flags, f"-I{_headers(python).strip()}", BINDINGS / "with_capi.cpp"
    )
    return folder


def _pybind11(folder: Path) -> None:
    flags = ("-fvisibility=hidden", f"-I{_package('pybind11') / 'include'}")
    _compile(folder / "with_pybind11.so", *flags, _python(), BINDINGS / "with_pybind11.cpp")


def _nanobind(folder: Path) -> None:
    package = _package("nanobind")
    sources = (BINDINGS / "with_nanobind.cpp", package / "src" / "nb_combined.cpp")
    places = (f"-I{package / 'include'}", f"-I{package / 'ext' / 'robin_map' / 'include'}")
    flags = ("-fvisibility=hidden", "-fno-strict-aliasing", "-DNB_COMPACT_ASSERTIONS")
    _compile(folder / "with_nanobind.so", *flags, *places, _python(), *sources)


def _cython(folder: Path) -> None:
    _package("Cython")
    source = folder / "with_cython.cpp"
    command = [sys.executable, "-m", "cython", "-3", "--cplus", "-o", source]
    subprocess.run([*command, BINDINGS / "with_cython.pyx"], check=True, timeout=DEADLINE_S)
    _compile(folder / "with_cython.so", _python(), source)


def _boost(folder: Path) -> None:
    library = f"boost_python{sys.version_info.major}{sys.version_info.minor}"
    if not Path("/usr/include/boost/python.hpp").exists():
        pytest.skip("Boost.Python is not installed: apt install libboost-python-dev")
    _compile(folder / "with_boost.so", _python(), BINDINGS / "with_boost.cpp", f"-l{library}")


def _python() -> str:
    return f"-I{sysconfig.get_path('include')}"


def raise_from(
    folder: Path, home: Home, module: str, function: str, *numbers: int, python: str = ""
) -> dict[str, Any]:
    program = [PROGRAMS / "raise_from_cpp.py", home.spool, module, function, *map(str, numbers)]
    places = f"{REPOSITORY_SOURCE}:{folder}"
    done = subprocess.run(
        [python or sys.executable, *program],
        env=home.environment(PYTHONPATH=places, **for_any_interpreter()),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(facts, dict)
    return facts | {"stderr": done.stderr}


def expect_throw(facts: dict[str, Any], depth: int, module: str, has_what: bool = True) -> None:
    [note] = facts["notes"]
    told = facts["report"]["cpp_throw"]
    assert told["type"] == "Failure"
    assert told["what"] == ("a failure in C++" if has_what else None)
    frames = [frame.partition("+")[0] for frame in told["frames"]]
    ways = [frame for frame in frames if "!way_" in frame]
    assert ways == [f"{module}!way_throw(int)"] + [f"{module}!way_down(int)"] * (depth + 1)
    lines = note.splitlines()
    assert lines[0].startswith("C++ exception Failure")
    assert [line.strip() for line in lines[2:]] == told["frames"][: len(lines) - 2]
    assert facts["pickled"] == "str"


@pytest.mark.parametrize("binding", ["pybind11", "nanobind", "cython", "boost"])
def test_the_exception_has_the_stack_of_the_throw(binding: str, tmp_path: Path, home: Home) -> None:
    {"pybind11": _pybind11, "nanobind": _nanobind, "cython": _cython, "boost": _boost}[binding](
        tmp_path
    )
    facts = raise_from(tmp_path, home, f"with_{binding}", "fail", 3)
    assert facts["error"] == ["RuntimeError", "a failure in C++"]
    expect_throw(facts, 3, f"with_{binding}.so")
    if sys.version_info >= (3, 11):
        assert facts["notes"][0] in facts["stderr"], "the traceback prints it"


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (0, "a failure in C++"),
        (1, "a failure in C++ 1 2 3 4 5 7 x"),
        (2, "a failure in C++"),
        (3, ""),
    ],
)
def test_each_function_that_sets_an_error_is_seen(
    way: int, message: str, tmp_path: Path, home: Home
) -> None:
    facts = raise_from(_capi(tmp_path, sys.executable), home, "with_capi", "fail", 2, way)
    assert facts["error"] == ["RuntimeError", message]
    expect_throw(facts, 2, "with_capi.so")


def test_a_function_called_by_ctypes_is_seen(tmp_path: Path, home: Home) -> None:
    folder = _capi(tmp_path, sys.executable)
    expect_throw(raise_from(folder, home, "with_capi", "fail_for_ctypes", 1), 1, "with_capi.so")


def test_a_library_with_its_own_runtime_is_seen(tmp_path: Path, home: Home) -> None:
    facts = raise_from(_capi(tmp_path, sys.executable, *STATIC), home, "with_capi", "fail", 2)
    expect_throw(facts, 2, "with_capi.so", has_what=False)


def test_an_error_after_the_handler_has_no_note(tmp_path: Path, home: Home) -> None:
    facts = raise_from(_capi(tmp_path, sys.executable), home, "with_capi", "fail_later")
    assert facts["error"] == ["ValueError", "not of C++"]
    assert facts["notes"] == []
    assert facts["report"]["cpp_throw"] is None


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_every_interpreter_of_the_machine(version: str, tmp_path: Path, home: Home) -> None:
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} under ~/.pyenv")
    python = str(found[-1])
    facts = raise_from(_capi(tmp_path, python), home, "with_capi", "fail", 2, python=python)
    expect_throw(facts, 2, "with_capi.so")
