"""Every fatal signal in every kind of thread: the process dies as ever, and the dump says why."""

from __future__ import annotations

import functools
import json
import signal
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, SpooledReport, analyze, crashing_frames, run_python
from foreign import (
    as_debug_identifier,
    build_ids,
    read_core_with_gdb,
    read_with_breakpad,
    read_with_lldb,
)
from minidump_streams import open_dump

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.integration

WILD = 0xDEAD_0000
SI_USER_TKILL = -6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the kernel reports for one fault; the address is `None` where it depends on the run."""

    signal: signal.Signals
    code: int
    code_name: str
    address: int | None = None


FAULTS = {
    "fault_read_null": Fault(signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=0),
    "fault_write_null": Fault(signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=0),
    "fault_execute_null": Fault(signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=0),
    "fault_read_wild": Fault(signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=WILD),
    "fault_write_wild": Fault(signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=WILD),
    "fault_execute_wild": Fault(
        signal=signal.SIGSEGV, code=1, code_name="SEGV_MAPERR", address=WILD
    ),
    "fault_read_non_canonical": Fault(signal=signal.SIGSEGV, code=128, code_name="SI_KERNEL"),
    "fault_write_read_only": Fault(signal=signal.SIGSEGV, code=2, code_name="SEGV_ACCERR"),
    "fault_execute_data": Fault(signal=signal.SIGSEGV, code=2, code_name="SEGV_ACCERR"),
    "fault_bus_past_end": Fault(signal=signal.SIGBUS, code=2, code_name="BUS_ADRERR"),
    "fault_divide": Fault(signal=signal.SIGFPE, code=1, code_name="FPE_INTDIV"),
    "fault_illegal": Fault(signal=signal.SIGILL, code=2, code_name="ILL_ILLOPN"),
    "fault_abort": Fault(signal=signal.SIGABRT, code=SI_USER_TKILL, code_name="SI_TKILL"),
    "fault_trap": Fault(signal=signal.SIGTRAP, code=128, code_name="SI_KERNEL"),
    "fault_system_call": Fault(signal=signal.SIGSYS, code=1, code_name="SYS_SECCOMP"),
}
"""The table of crates/faults/src/lib.rs."""
KILLS = {
    f"kill-{int(number)}": number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)
}
ONE_PER_SIGNAL = ["fault_write_null", "fault_bus_past_end", "fault_divide", "fault_illegal",
                  "fault_abort", "fault_trap", "fault_system_call"]  # fmt: skip


def die(fault: str, where: str, home: Home, faults: Path, *more: str, **options: Any) -> Death:
    """Let a process with lastwords die."""
    return run_python(
        [PROGRAMS / "die.py", fault, where, *more],
        home,
        LASTWORDS_FAULTS=str(faults),
        TEST_DUMP_DIR=str(home.spool),
        **options,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death, and what was made of it."""

    death: Death
    report: SpooledReport
    analysis: dict[str, Any]


@pytest.fixture(scope="session")
def case(
    tmp_path_factory: pytest.TempPathFactory, faults_library: Path
) -> Callable[[str, str], Case]:
    """A death by (fault, kind of thread); each is died once and looked at by many tests."""

    @functools.cache
    def die_once(fault: str, where: str) -> Case:
        home = Home(folder=tmp_path_factory.mktemp(f"{fault}-{where}"))
        death = die(fault, where, home, faults_library)
        report = home.report()
        return Case(death=death, report=report, analysis=analyze(report.dump))

    return die_once


def assert_signal(report: SpooledReport, analysis: dict[str, Any], fault: Fault) -> None:
    told = report.document["mechanism"]["signal"]
    assert told["number"] == fault.signal
    assert told["name"] == fault.signal.name
    assert told["code"] == fault.code
    assert told["code_name"] == fault.code_name
    assert fault.signal.name in analysis["crash_info"]["type"]
    if fault.address is not None:
        assert int(told["address"], 16) == fault.address
        assert int(analysis["crash_info"]["address"], 16) == fault.address


def assert_process(report: SpooledReport, analysis: dict[str, Any], facts: dict[str, Any]) -> None:
    assert report.document["process"]["pid"] == facts["pid"]
    assert analysis["pid"] == facts["pid"]
    assert report.document["product"] == "dying"
    assert report.document["version"] == "1.2.3"
    assert report.document["annotations"]["purpose"] == "test"
    assert analysis["annotations"]["purpose"] == "test"


def assert_modules(analysis: dict[str, Any], facts: dict[str, Any]) -> None:
    """Base and build id of every loaded ELF file, compared with readelf and /proc/PID/maps."""
    told = {module["filename"]: module for module in analysis["modules"]}
    for path, (base, build_id) in build_ids(facts["maps"]).items():
        module = told[path.rpartition("/")[2]]
        assert int(module["base_addr"], 16) == base, path
        assert module["code_id"] == build_id, path


@pytest.mark.parametrize("where", ["main", "python_thread", "native_thread"])
@pytest.mark.parametrize("name", ONE_PER_SIGNAL)
def test_each_signal_in_each_kind_of_thread_leaves_a_true_dump(
    name: str, where: str, case: Callable[[str, str], Case]
) -> None:
    died = case(name, where)
    death, report, analysis = died.death, died.report, died.analysis
    assert death.returncode == -FAULTS[name].signal, death.stderr
    assert_signal(report, analysis, FAULTS[name])
    assert_process(report, analysis, death.facts)
    assert_modules(analysis, death.facts)
    crashed = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    assert report.document["process"]["tid"] == crashed["thread_id"]
    if where == "native_thread":
        assert crashed["thread_id"] != death.facts["tid"]
        assert len(analysis["threads"]) >= 2
    else:
        assert crashed["thread_id"] == death.facts["tid"]
    assert name in {frame.get("function") for frame in crashing_frames(analysis)}


@pytest.mark.parametrize("name", sorted(set(FAULTS) - set(ONE_PER_SIGNAL)))
def test_each_fault_is_told_apart(name: str, case: Callable[[str, str], Case]) -> None:
    died = case(name, "python_thread")
    assert died.death.returncode == -FAULTS[name].signal, died.death.stderr
    assert_signal(died.report, died.analysis, FAULTS[name])


@pytest.mark.parametrize("name", sorted(KILLS))
def test_a_signal_that_was_sent_is_reported_with_its_sender(
    name: str, home: Home, faults_library: Path
) -> None:
    death = die(name, "main", home, faults_library)
    assert death.returncode == -KILLS[name], death.stderr
    told = home.report().document["mechanism"]["signal"]
    assert (told["number"], told["code"], told["code_name"]) == (
        KILLS[name],
        SI_USER_TKILL,
        "SI_TKILL",
    )


@pytest.mark.parametrize("name", [*FAULTS, *KILLS])
def test_the_exit_status_is_the_same_without_lastwords(
    name: str, home: Home, faults_library: Path
) -> None:
    without = run_python(
        [PROGRAMS / "die.py", name, "main"],
        home,
        LASTWORDS_FAULTS=str(faults_library),
        TEST_DUMP_DIR=str(home.spool),
        LASTWORDS_ENABLED="0",
    )
    assert home.reports() == []
    with_lastwords = die(name, "main", home, faults_library)
    assert with_lastwords.returncode == without.returncode


@pytest.mark.parametrize(
    "name", ["fault_read_null", "fault_write_wild", "fault_divide", "fault_abort"]
)
@pytest.mark.parametrize("where", ["main", "python_thread"])
def test_python_frames_are_those_that_ran(
    name: str, where: str, case: Callable[[str, str], Case]
) -> None:
    died = case(name, where)
    frames = [frame for frame in crashing_frames(died.analysis) if frame["kind"] == "python"]
    told = [[f["python"]["file"], f["python"]["line"], f["python"]["name"]] for f in frames]
    assert told == died.death.facts["python_frames"]
    assert {frame["python"]["placement"] for frame in frames} == {"anchored"}


@pytest.mark.foreign
@pytest.mark.parametrize("where", ["main", "python_thread", "native_thread"])
@pytest.mark.parametrize("name", ONE_PER_SIGNAL)
def test_lldb_sees_the_same(name: str, where: str, case: Callable[[str, str], Case]) -> None:
    died = case(name, where)
    death, report = died.death, died.report
    seen = read_with_lldb(report.dump)
    assert seen["pid"] == death.facts["pid"]
    assert seen["selected_tid"] == report.document["process"]["tid"]
    (stopped,) = [thread for thread in seen["threads"] if thread["tid"] == seen["selected_tid"]]
    assert stopped["signal"] == FAULTS[name].signal
    assert name in {frame["function"] for frame in stopped["frames"]}
    told = {module["path"]: module for module in seen["modules"]}
    for path, (base, build_id) in build_ids(death.facts["maps"]).items():
        assert told[path]["base"] == base
        assert told[path]["uuid"] == build_id


@pytest.mark.foreign
@pytest.mark.parametrize("where", ["main", "python_thread", "native_thread"])
@pytest.mark.parametrize(
    "name", ["fault_write_wild", "fault_bus_past_end", "fault_divide", "fault_abort"]
)
def test_breakpad_sees_the_same(name: str, where: str, case: Callable[[str, str], Case]) -> None:
    died = case(name, where)
    death, report = died.death, died.report
    fault = FAULTS[name]
    seen = read_with_breakpad(report.dump)
    name_told, _, code_told = (part.strip() for part in seen.crash.partition("/"))
    assert name_told == fault.signal.name
    if fault.code > 0:  # Breakpad has no names for signals that were sent
        assert code_told == fault.code_name
    if fault.address is not None:
        assert seen.address == fault.address
    assert seen.thread_ids[seen.crashing_thread] == report.document["process"]["tid"]
    for path, (base, build_id) in build_ids(death.facts["maps"]).items():
        file_name = path.rpartition("/")[2]
        assert seen.bases[file_name] == base
        assert as_debug_identifier(build_id) == seen.modules[file_name]


@pytest.mark.foreign
@pytest.mark.parametrize("name", ["fault_write_wild", "fault_divide", "fault_abort"])
@pytest.mark.parametrize("where", ["main", "python_thread"])
def test_the_system_core_is_as_it_was(
    name: str, where: str, home: Home, faults_library: Path, core_folder: Path
) -> None:
    without = run_python(
        [PROGRAMS / "die.py", name, where],
        home,
        cwd=core_folder,
        has_core=True,
        LASTWORDS_FAULTS=str(faults_library),
        LASTWORDS_ENABLED="0",
    )
    plain = read_core_with_gdb(_take_core(core_folder))
    death = die(name, where, home, faults_library, cwd=core_folder, has_core=True)
    assert death.returncode == without.returncode == -FAULTS[name].signal
    core = read_core_with_gdb(_take_core(core_folder))
    assert core["signal"] == plain["signal"] == FAULTS[name].signal
    assert core["code"] == plain["code"]
    assert core["functions"] == plain["functions"]
    analysis = analyze(home.report().dump)
    crashed = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    assert int(crashed["frames"][0]["offset"], 16) == core["pc"]
    if FAULTS[name].address is not None:
        assert core["address"] == FAULTS[name].address


def _take_core(folder: Path) -> Path:
    cores = sorted(folder.glob("core*"))
    assert len(cores) == 1, f"the system wrote {len(cores)} core files"
    return cores[0].rename(folder / f"taken-{len(list(folder.glob('taken-*')))}")


@pytest.mark.parametrize("order", ["faulthandler-before", "faulthandler-after"])
@pytest.mark.parametrize("where", ["main", "python_thread"])
def test_faulthandler_still_prints(
    order: str, where: str, home: Home, faults_library: Path
) -> None:
    death = die("fault_write_wild", where, home, faults_library, order)
    assert death.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in death.stderr
    assert "in innermost" in death.stderr
    report = home.report()
    analysis = analyze(report.dump)
    assert_signal(report, analysis, FAULTS["fault_write_wild"])
    assert "fault_write_wild" in {frame.get("function") for frame in crashing_frames(analysis)}


@pytest.mark.parametrize(
    "name",
    [
        "fault_read_non_canonical",
        "fault_write_read_only",
        "fault_execute_null",
        "fault_bus_past_end",
        "fault_divide",
        "fault_illegal",
    ],
)
def test_a_fault_that_faulthandler_raised_again_is_the_one_reported(
    name: str, home: Home, faults_library: Path
) -> None:
    die(name, "main", home, faults_library, "faulthandler-after")
    report = home.report()
    assert_signal(report, analyze(report.dump), FAULTS[name])


def test_instruction_is_read_from_the_module_file_when_the_dump_lacks_it(
    case: Callable[[str, str], Case], tmp_path: Path
) -> None:
    died = case("fault_write_wild", "main")
    whole = died.analysis["crash_info"]
    ip = int(died.analysis["crashing_thread"]["frames"][0]["offset"], 16)
    cut = tmp_path / "cut.dmp"
    cut.write_bytes(without_memory_at(died.report.dump, ip))
    told = analyze(cut)["crash_info"]
    assert told["instruction"] == whole["instruction"] is not None
    assert told["memory_accesses"] == whole["memory_accesses"]
    assert "read from the module's file" in json.dumps(told["findings"])
    assert "read from the module's file" not in json.dumps(whole["findings"])
    assert analyze(cut, "--no-local-modules")["crash_info"]["instruction"] is None


def without_memory_at(dump: Path, address: int) -> bytes:
    """The dump with the piece of memory around `address` at another address."""
    data = bytearray(dump.read_bytes())
    for start, size, _ in open_dump(dump).memory():
        if start <= address < start + size:
            entry = struct.pack("<QI", start, size)
            assert data.count(entry) == 1
            at = data.index(entry)
            data[at : at + 8] = struct.pack("<Q", 1 << 40)
    return bytes(data)
