"""The fault matrix: ways to die x kinds of threads x interpreters, each died for real.

Every dump is read by our reader and by Breakpad's; LLDB, which is slow, reads one of each
signal and kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dying import crashing_frames
from foreign import as_debug_identifier, read_with_breakpad, read_with_lldb
from matrix import OWN, VERSIONS, Case, Death, Matrix, deaths, interpreter
from ways import WAYS, Way, Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

DEATHS = deaths()
WITH_WORDS = [death for death in DEATHS if WAYS[death.way].words]
LLDB_WAYS = [
    "fault_write_wild", "fault_bus_past_end", "fault_divide", "fault_illegal", "fault_trap",
    "fault_system_call", "fault_throw_std",
]  # fmt: skip
LLDB = [death for death in DEATHS if death.way in LLDB_WAYS and death.version == OWN]


@pytest.fixture(scope="session")
def matrix(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    faults_library: Path,
    faults_cpp_library: Path,
) -> Iterator[Matrix]:
    """All deaths of this session, started in the order in which the tests ask for them."""
    died = Matrix(tmp_path_factory.mktemp("matrix"), faults_library, faults_cpp_library)
    for item in request.session.items:
        death = getattr(item, "callspec", None) and item.callspec.params.get("death")
        if isinstance(death, Death) and interpreter(death.version):
            died.start(death)
    yield died
    died.close()


@pytest.fixture
def die(matrix: Matrix) -> Callable[[Death], Case]:
    def die_once(death: Death) -> Case:
        if interpreter(death.version) is None:
            pytest.skip(f"CPython {death.version} is neither on PATH nor in pyenv")
        return matrix.case(death)

    return die_once


def crashed_thread(analysis: dict[str, Any]) -> dict[str, Any]:
    thread = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    assert isinstance(thread, dict)
    return thread


def assert_signal(way: Way, case: Case) -> None:
    told = case.report["mechanism"]["signal"]
    assert (told["number"], told["name"]) == (way.signal, way.signal.name)
    assert told["code"] in way.codes
    assert way.signal.name in case.analysis["crash_info"]["type"]
    if way.address is not None:
        assert int(told["address"], 16) == way.address
        assert int(case.analysis["crash_info"]["address"], 16) == way.address


def assert_thread(way: Way, kind: str, case: Case) -> None:
    tid = crashed_thread(case.analysis)["thread_id"]
    assert case.report["process"]["pid"] == case.analysis["pid"] == case.facts["pid"]
    assert case.report["process"]["tid"] == tid
    if kind == "native":
        assert tid != case.facts["tid"]
        assert tid != case.facts["pid"]
    elif not way.is_elsewhere:
        assert tid == case.facts["tid"]


def assert_modules(case: Case) -> None:
    told = {module["filename"]: module for module in case.analysis["modules"]}
    assert len(case.modules) >= 5
    for path, (base, build_id) in case.modules.items():
        module = told[path.rpartition("/")[2]]
        assert int(module["base_addr"], 16) == base, path
        assert module["code_id"] == build_id, path


def python_frames(thread: dict[str, Any]) -> list[list[object]]:
    frames = [frame["python"] for frame in thread["frames"] if frame["kind"] == "python"]
    return [[frame["file"], frame["line"], frame["name"]] for frame in frames]


def assert_python_frames(way: Way, case: Case) -> None:
    """Those of the calling thread, which waits for the end when a thread of its own dies."""
    (caller,) = [t for t in case.analysis["threads"] if t["thread_id"] == case.facts["tid"]]
    told = python_frames(caller)
    if way.leaves_frames:
        known = case.facts["python_frames"]
        assert told[-len(known) :] == known
    if way.python_frame is not None:
        assert told[0][2] == way.python_frame


@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_the_report_is_true(death: Death, die: Callable[[Death], Case]) -> None:
    case, way = die(death), WAYS[death.way]
    assert case.returncode == -way.signal, case.stderr
    assert_signal(way, case)
    assert_thread(way, death.kind, case)
    assert_modules(case)
    assert_python_frames(way, case)
    if way.has_frame:
        assert way.name in {frame.get("function") for frame in crashing_frames(case.analysis)}


@pytest.mark.parametrize("death", WITH_WORDS, ids=str)
def test_what_was_said_is_in_the_report(death: Death, die: Callable[[Death], Case]) -> None:
    way, mechanism = WAYS[death.way], die(death).report["mechanism"]
    assert way.text is not None
    assert way.words is not None
    told = mechanism[way.words.value.partition(".")[2]]
    if way.words is Words.CPP_EXCEPTION:
        told = f"{told['type']}: {told['what']}"
    if way.words is Words.LAST_WORDS:
        told = told["text"]
    assert way.text in told


@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_an_overflow_and_nothing_else_is_named_so(
    death: Death, die: Callable[[Death], Case]
) -> None:
    told = die(death).report["mechanism"].get("stack_overflow")
    assert bool(told) == WAYS[death.way].is_overflow


@pytest.mark.foreign
@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_breakpad_sees_the_same(death: Death, die: Callable[[Death], Case]) -> None:
    case, way = die(death), WAYS[death.way]
    seen = read_with_breakpad(case.dump, has_stack=way.has_stack)
    assert seen.crash.partition("/")[0].strip() == way.signal.name
    if way.address is not None:
        assert seen.address == way.address
    assert seen.thread_ids[seen.crashing_thread] == case.report["process"]["tid"]
    for path, (base, build_id) in case.modules.items():
        name = path.rpartition("/")[2]
        assert seen.bases[name] == base, path
        assert seen.modules[name] == as_debug_identifier(build_id), path


@pytest.mark.foreign
@pytest.mark.parametrize("death", LLDB, ids=str)
def test_lldb_sees_the_same(death: Death, die: Callable[[Death], Case]) -> None:
    case, way = die(death), WAYS[death.way]
    seen = read_with_lldb(case.dump)
    assert (seen["pid"], seen["selected_tid"]) == (case.facts["pid"], case.report["process"]["tid"])
    (stopped,) = [thread for thread in seen["threads"] if thread["tid"] == seen["selected_tid"]]
    assert stopped["signal"] == way.signal
    assert any(way.name in frame["function"] for frame in stopped["frames"] if frame["function"])
    told = {module["path"]: module for module in seen["modules"]}
    for path, (base, build_id) in case.modules.items():
        assert (told[path]["base"], told[path]["uuid"]) == (base, build_id), path


def test_every_version_dies_every_way_and_every_pair_is_there() -> None:
    assert len(WAYS) >= 40
    assert {(death.version, death.way) for death in DEATHS} == {
        (version, way) for version in VERSIONS for way in WAYS
    }
    own = {(death.way, death.kind) for death in DEATHS if death.version == OWN}
    assert own == {(way.name, kind) for way in WAYS.values() for kind in way.kinds}
    for version in VERSIONS:
        assert {death.kind for death in DEATHS if death.version == version} == {
            "main", "worker", "native"
        }  # fmt: skip
