"""C++ exceptions are recorded where they are thrown, however the library was linked."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, Home, SpooledReport, analyze, run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

RUNTIME = {"__cxa_throw", "__cxa_rethrow", "_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow"}
COMMON = ("-O2", "-g", "-fPIC", "-shared", "-pthread")
LINKINGS = {
    "shared": ("g++",),
    "static_libstdcxx": ("g++", "-static-libstdc++"),
    "static": ("g++", "-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"),
    "static_now": (
        "g++",
        "-static-libstdc++",
        "-static-libgcc",
        "-Wl,--exclude-libs,ALL,-z,relro,-z,now",
    ),
    "static_exported": ("g++", "-static-libstdc++", "-static-libgcc"),
    "libcxx": ("clang++", "-stdlib=libc++"),
    "libcxx_static": ("clang++", "-stdlib=libc++", "-static-libstdc++", "-lc++abi"),
}


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The library of `throwing.cpp`, linked in each way that the machine's compilers can."""
    folder = tmp_path_factory.mktemp("throwing")
    built = {}
    for name, (compiler, *flags) in LINKINGS.items():
        if not shutil.which(compiler):
            continue
        path = folder / f"lib{name}.so"
        source = PROGRAMS / "throwing.cpp"
        done = subprocess.run(
            [compiler, *COMMON, "-o", path, source, *flags], capture_output=True, check=False
        )
        if done.returncode == 0:
            built[name] = path
        elif compiler == "g++":
            pytest.fail(done.stderr.decode())
    return built


@pytest.fixture(params=LINKINGS)
def library(request: pytest.FixtureRequest, libraries: dict[str, Path]) -> Path:
    if request.param not in libraries:
        pytest.skip(f"no compiler here for {request.param}")
    return libraries[request.param]


def die(home: Home, library: Path, *calls: str, settings: str = "{}", **more: str) -> SpooledReport:
    arguments = [PROGRAMS / "die_throwing.py", home.spool, library, *calls]
    death = run_python(arguments, home, TEST_SETTINGS=settings, **more)
    assert death.returncode == -signal.SIGABRT, death.stderr
    return home.report()


def throws_of(report: SpooledReport, *options: str) -> list[dict[str, Any]]:
    throws = analyze(report.dump, *options)["throws"]
    assert isinstance(throws, list)
    return throws


def ways(frames: list[dict[str, Any]]) -> list[str]:
    """The functions of `throwing.cpp` among frames, inlined ones included."""
    names = [frame["function"] or "" for frame in frames]
    return [name.partition("(")[0] for name in names if name.startswith(("way_", "die_"))]


def down(depth: int) -> list[str]:
    return ["way_throw", *["way_down"] * (depth + 1)]


def test_a_caught_exception_is_recorded_with_its_stack(library: Path, home: Home) -> None:
    [throw] = throws_of(die(home, library, "way_catch:3,0"))
    assert ways(throw["frames"]) == [*down(3), "way_catch"]
    assert throw["type"] == "Failure"
    assert throw["what"] in ("a failure", None)
    assert throw["class"] == "cpp"
    assert throw["is_uncaught"] is False
    functions = [frame["function"] for frame in throw["frames"]]
    assert functions[0] in RUNTIME
    assert "_PyEval_EvalFrameDefault" in functions, "up to the interpreter"
    assert functions[-1] in ("_start", "__libc_start_main_impl", "__libc_start_main")


def test_a_function_that_aligns_its_stack_is_walked_through(library: Path, home: Home) -> None:
    [throw] = throws_of(die(home, library, "way_catch_aligned:0"))
    assert ways(throw["frames"]) == [*down(1), "way_aligned", "way_catch_aligned"]


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        (0, "Failure", "a failure"),
        (1, "Wordy", None),
        (2, "Twofold", "a twofold failure"),
        (3, "int", None),
        (4, "std::bad_alloc", "std::bad_alloc"),
        (5, "std::out_of_range", "x" * 264),
        (6, "std::runtime_error", "password=[scrubbed] is wrong"),
    ],
)
def test_type_and_text_are_told(
    kind: int, name: str, what: str | None, libraries: dict[str, Path], home: Home
) -> None:
    [throw] = throws_of(die(home, libraries["shared"], f"way_catch:0,{kind}"))
    assert (throw["type"], throw["what"]) == (name, what)


def test_a_rethrow_is_recorded_beside_the_throw(library: Path, home: Home) -> None:
    again, first = throws_of(die(home, library, "way_rethrow"))
    assert ways(first["frames"]) == [*down(2), "way_rethrow"]
    assert ways(again["frames"])[-1] == "way_rethrow"
    assert again["exception"] == first["exception"]
    assert again["what"] == first["what"]


def test_an_exception_thrown_while_another_is_handled_is_one_more(
    library: Path, home: Home
) -> None:
    inner, outer = throws_of(die(home, library, "way_nested"))
    assert ways(inner["frames"]) == [*down(2), "way_catch", "way_nested"]
    assert ways(outer["frames"]) == [*down(1), "way_nested"]
    assert (inner["type"], outer["type"]) == ("Twofold", "Failure")


DEATHS = {
    "die_uncaught:0": [*down(2), "die_uncaught"],
    "die_in_thread:0": down(2),
    "die_noexcept:0": [*down(2), "die_noexcept"],
    "die_rethrowing:0": [*down(2), "die_rethrowing"],
    "die_of_kept": [*down(3), "way_keep"],
}


# A static unwinder asks nobody about functions that neither catch nor clean up.
UNSEEN = {"die_uncaught:0", "die_in_thread:0"}


@pytest.mark.parametrize("call", DEATHS)
def test_the_exception_that_nobody_caught_is_named(call: str, library: Path, home: Home) -> None:
    if call in UNSEEN and library.stem in ("libstatic", "libstatic_now"):
        pytest.skip("no function on the way has a personality")
    report = die(home, library, call)
    told = report.document["mechanism"]["cpp_exception"]
    assert told["type"] == "7Failure"
    assert told["what"] == "a failure"
    throws = throws_of(report)
    assert [throw["is_uncaught"] for throw in throws].count(True) == 1
    first = next(throw for throw in reversed(throws) if throw["type"] == "Failure")
    assert ways(first["frames"])[: len(DEATHS[call])] == DEATHS[call]
    assert len(told["frames"]) == len(first["frames"])


def test_an_exception_thrown_by_a_destructor_is_the_fatal_one(
    libraries: dict[str, Path], home: Home
) -> None:
    told = die(home, libraries["shared"], "die_unwinding:2").document["mechanism"]["cpp_exception"]
    assert (told["type"], told["what"]) == ("7Twofold", "a twofold failure")


@pytest.mark.parametrize("call", ["die_in_handler:0", "die_without_exception", "die_elsewhere"])
def test_an_abort_of_the_application_names_no_exception(
    call: str, libraries: dict[str, Path], home: Home
) -> None:
    report = die(home, libraries["shared"], "way_catch:1,0", call)
    assert report.document["mechanism"]["cpp_exception"] is None
    assert not any(throw["is_uncaught"] for throw in throws_of(report))


def test_a_library_that_was_there_before_install_is_hooked(library: Path, home: Home) -> None:
    [throw] = throws_of(die(home, library, "way_catch:1,0", TEST_LIBRARY_FIRST="1"))
    assert ways(throw["frames"]) == [*down(1), "way_catch"]


def test_threads_have_rings_of_their_own(libraries: dict[str, Path], home: Home) -> None:
    throws = throws_of(die(home, libraries["shared"], "way_threads:8,100"))
    by_thread: dict[int, int] = {}
    for throw in throws:
        by_thread[throw["thread_id"]] = by_thread.get(throw["thread_id"], 0) + 1
        depth = ways(throw["frames"]).count("way_down")
        assert ways(throw["frames"])[: depth + 1] == ["way_throw", *["way_down"] * depth]
    assert list(by_thread.values()) == [8] * 8


def test_rings_of_threads_that_ended_are_used_again(libraries: dict[str, Path], home: Home) -> None:
    calls = ("way_threads:20,1", "way_threads:30,1", "way_threads:40,1")
    throws = throws_of(die(home, libraries["shared"], *calls))
    assert 32 <= len({throw["thread_id"] for throw in throws}) <= 64


def test_nothing_is_recorded_when_it_is_switched_off(
    libraries: dict[str, Path], home: Home
) -> None:
    settings = json.dumps({"capture_throws": False})
    report = die(home, libraries["shared"], "way_catch:1,0", settings=settings)
    assert throws_of(report) == []


def test_above_the_limit_one_throw_of_several_is_recorded(
    libraries: dict[str, Path], home: Home
) -> None:
    settings = json.dumps({"max_throws_per_s": 100})
    calls = ("way_catch_often:1,0,20000", "die_uncaught:2")
    report = die(home, libraries["shared"], *calls, settings=settings)
    throws = throws_of(report)
    assert 0 < len(throws) <= 8
    told = report.document["mechanism"]["cpp_exception"]
    assert told is None or told["type"] == "7Twofold", "never the stack of another exception"


def test_a_million_throws_leave_the_last_eight(libraries: dict[str, Path], home: Home) -> None:
    settings = json.dumps({"max_throws_per_s": 0})
    calls = ("way_catch_often:0,3,1000000", "way_catch:5,0")
    throws = throws_of(die(home, libraries["shared"], *calls, settings=settings))
    assert len(throws) == 8
    assert ways(throws[0]["frames"]) == [*down(5), "way_catch"]


def test_no_runtime_of_cpp_and_no_unwinder_comes_with_it(home: Home) -> None:
    program = (
        "import lastwords, pathlib;"
        f"lastwords.install(product='p', version='1', dump_dir={str(home.spool)!r});"
        "print(pathlib.Path('/proc/self/maps').read_text())"
    )
    maps = run_python(["-c", program], home).stdout
    assert "_native" in maps
    for library in ("libstdc++", "libc++", "libunwind"):
        assert library not in maps


def test_a_forked_child_tells_its_own_throws(libraries: dict[str, Path], home: Home) -> None:
    program = (
        "import ctypes, lastwords, os, sys;"
        f"lastwords.install(product='p', version='1', dump_dir={str(home.spool)!r});"
        f"library = ctypes.CDLL({str(libraries['shared'])!r});"
        "library.way_threads(3, 5); library.way_catch(1, 0);"
        "child = os.fork();"
        "child or library.die_uncaught(2);"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -6)"
    )
    assert run_python(["-c", program], home).returncode == 0
    report = home.report()
    throws = throws_of(report)
    # The terminate handler of libstdc++ throws once more, to get at the text.
    types = [throw["type"] for throw in throws]
    assert types == ["Twofold", "Twofold", "Failure"], "not those of lost threads"
    assert {throw["thread_id"] for throw in throws} == {report.document["process"]["pid"]}
    assert report.document["mechanism"]["cpp_exception"]["what"] == "a twofold failure"
