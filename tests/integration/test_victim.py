"""The sample application: its three failures, and the merged stack against known truth."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import victim
from dying import Home, analyze, crashing_frames, run_python
from foreign import build_ids, read_core_with_gdb, read_with_breakpad, read_with_lldb
from victim.failures import FAILING_STEP

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.integration

SOURCES = Path(victim.__file__).parent
FAULT_ADDRESS = (FAILING_STEP - 1) * 8
"""One sample of 8 bytes was recorded in each step before the failing one."""
EVALUATION_LOOP = re.compile(r"_PyEval_EvalFrameDefault|do_call_core")


def line_of(file: str, text: str) -> int:
    """Number of the only line of a source file of the victim that holds `text`."""
    lines = (SOURCES / file).read_text("utf-8").splitlines()
    (number,) = [index for index, line in enumerate(lines, 1) if text in line]
    return number


def run_victim(home: Home, failure: str | None = None, **options: Any) -> Any:
    arguments = ["-m", "victim", "--dump-dir", home.spool]
    return run_python([*arguments, *(["--fail", failure] if failure else [])], home, **options)


def unqualified(function: str) -> str:
    """A function's name without namespace and parameters."""
    return re.sub(r"^\(anonymous namespace\)::|^heat::|\(.*$", "", function)


def short(frame: dict[str, Any]) -> tuple[str, str, str | None, int | None]:
    """Kind, function, file name and line of a frame."""
    file = frame.get("file")
    return (
        frame["kind"],
        unqualified(frame.get("function") or ""),
        file and file.rpartition("/")[2],
        frame.get("line"),
    )


def test_a_healthy_run_ends_well_and_leaves_nothing(home: Home) -> None:
    death = run_victim(home)
    assert (death.returncode, death.stderr) == (0, "")
    assert "100 steps" in death.stdout
    assert home.reports() == []


def test_the_access_violation_is_reported_at_its_place(home: Home) -> None:
    death = run_victim(home, "access-violation")
    assert death.returncode == -signal.SIGSEGV
    report = home.report()
    told = report.document["mechanism"]
    assert told["type"] == "signal"
    assert told["signal"]["name"] == "SIGSEGV"
    assert int(told["signal"]["address"], 16) == FAULT_ADDRESS
    assert report.document["annotations"]["scenario"] == "access-violation"
    assert report.document["annotations"]["step"] == FAILING_STEP


def test_cpp_glue_python_and_thread_start_stand_in_one_stack(home: Home) -> None:
    run_victim(home, "access-violation")
    frames = [short(frame) for frame in crashing_frames(analyze(home.report().dump))]
    cpp, python = "_physics.cpp", "simulation.py"
    fault = ("native", "Probe::record", cpp, line_of(cpp, "samples_[count_++] = temperature;"))
    assert frames[0] == fault
    recording = line_of(cpp, "probe_.record(")
    assert frames[1] == ("native", "Plate::relax_row", cpp, recording)
    looping = line_of(cpp, "row < last_row; ++row) relax_row(row);")
    assert frames[2] == ("native", "Plate::relax_rows", cpp, looping)
    assert frames[3][:3] == ("native", "plate_relax", cpp)
    calls = [frame for frame in frames if frame[0] == "python"]
    assert calls[0] == ("python", "Band.advance", python, line_of(python, "self.plate.relax("))
    assert calls[1] == ("python", "Simulation._work", python, line_of(python, "band.advance()"))
    assert [call[1] for call in calls[2:]] == [
        "Thread.run", "Thread._bootstrap_inner", "Thread._bootstrap",
    ]  # fmt: skip
    assert {call[2] for call in calls[2:]} == {"threading.py"}
    after = frames[frames.index(calls[-1]) + 1 :]
    assert after
    assert {frame[0] for frame in after} == {"native"}
    assert not any(EVALUATION_LOOP.match(frame[1]) for frame in frames)


@pytest.mark.foreign
def test_the_order_is_that_of_gdb_in_the_core(home: Home, core_folder: Path) -> None:
    """Each evaluation loop that gdb sees is a group of Python frames; all else is the same."""
    run_victim(home, "access-violation", cwd=core_folder, has_core=True)
    (core,) = core_folder.glob("core*")
    seen = [unqualified(function) for function in read_core_with_gdb(core)["functions"]]
    truth = one_per_run(["PYTHON" if EVALUATION_LOOP.match(name) else name for name in seen])
    frames = [short(frame) for frame in crashing_frames(analyze(home.report().dump))]
    told = one_per_run(["PYTHON" if kind == "python" else name for kind, name, _, _ in frames])
    assert len(told) == len(truth)
    # Without debug information one side may not know a name that the other knows.
    known = [(ours, gdb) for ours, gdb in zip(told, truth, strict=True) if ours and gdb != "??"]
    assert [ours for ours, _ in known] == [gdb for _, gdb in known]
    assert [index for index, name in enumerate(told) if name == "PYTHON"] == [
        index for index, name in enumerate(truth) if name == "PYTHON"
    ]


def one_per_run(names: list[str]) -> list[str]:
    """The names, with neighbours that are all `PYTHON` made one."""
    return [
        name
        for index, name in enumerate(names)
        if name != "PYTHON" or index == 0 or names[index - 1] != "PYTHON"
    ]


@pytest.mark.foreign
def test_foreign_readers_see_signal_address_thread_and_modules(home: Home) -> None:
    run_victim(home, "access-violation")
    report = home.report()
    tid = report.document["process"]["tid"]
    lldb = read_with_lldb(report.dump)
    (stopped,) = [thread for thread in lldb["threads"] if thread["tid"] == tid]
    assert lldb["selected_tid"] == tid
    assert (stopped["signal"], stopped["stop"][:14]) == (signal.SIGSEGV, "signal SIGSEGV")
    assert unqualified(stopped["frames"][0]["function"]) == "Probe::record"
    assert len(lldb["threads"]) == 4
    breakpad = read_with_breakpad(report.dump)
    assert (breakpad.crash, breakpad.address) == ("SIGSEGV /SEGV_MAPERR", FAULT_ADDRESS)
    assert breakpad.thread_ids[breakpad.crashing_thread] == tid
    extension = next(iter(SOURCES.glob("_physics*.so")))
    ((_, build_id),) = build_ids(f"0-1 r-xp 0 0 0 {extension}").values()
    assert build_id in {module["uuid"] for module in lldb["modules"]}
    assert extension.name in breakpad.modules


def test_an_unhandled_python_exception_is_reported(home: Home) -> None:
    death = run_victim(home, "python-exception")
    assert death.returncode == 1
    assert "KeyError: 20" in death.stderr
    report = home.report()
    assert not report.dump.exists()
    assert report.document["mechanism"]["type"] == "python_exception"
    exception = report.document["exception"]
    assert (exception["type"], exception["message"]) == ("KeyError", "20")
    last = exception["frames"][-1]
    assert last["qualname"] == "Simulation.warming"
    assert last["line"] == line_of("simulation.py", "self.means[step] - self.means[step - 1]")


def test_a_cpp_exception_that_crosses_into_python_is_reported(home: Home) -> None:
    death = run_victim(home, "cpp-exception")
    assert death.returncode == 1
    exception = home.report().document["exception"]
    assert exception["type"] == "RuntimeError"
    assert "the scheme is unstable" in exception["message"]
    assert exception["frames"][-1]["line"] == line_of("simulation.py", "self.plate.finish_step()")


def without_throw_note(stderr: str) -> str:
    """Without the one thing that is added on purpose: where the C++ exception was thrown."""
    return re.sub(
        r"^C\+\+ exception .*\n  thrown at .*\n(    .*\n)+", "", stderr, flags=re.MULTILINE
    )


@pytest.mark.parametrize("failure", [None, "access-violation", "python-exception", "cpp-exception"])
def test_the_exit_status_and_the_output_are_those_without_lastwords(
    failure: str | None, home: Home
) -> None:
    with_lastwords = run_victim(home, failure, LASTWORDS_QUIET="1")
    without = run_victim(home, failure, LASTWORDS_ENABLED="0")
    assert with_lastwords.returncode == without.returncode
    assert with_lastwords.stdout == without.stdout
    assert without_throw_note(with_lastwords.stderr) == without.stderr
