"""What a process finds out about its interpreter, and what the monitor makes of that."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, analyze, run_python
from minidump_streams import METADATA, open_dump

if TYPE_CHECKING:
    from dying import Home, SpooledReport

pytestmark = pytest.mark.integration

DYING = "the_function_that_dies"
ALWAYS_VERIFIED = {
    "runtime.interpreters_head",
    "interpreter.threads_head",
    "thread.interp",
    "thread.thread_id",
    "thread.exception",
    "frame.code",
    "frame.previous",
    "frame.instruction",
    "frame.owner",
    "code.file",
    "code.name",
    "code.line_table",
    "code.first_line",
    "object.type",
    "object.size",
    "bytes.data",
    "str.length",
    "str.state",
    "str.ascii_data",
    "str.compact_data",
    "type.name",
    "type.flags",
}
"""What every version has, and a process with one thread can verify."""


def die(home: Home, way: str, **environment: str) -> SpooledReport:
    settings = {"dump_dir": str(home.spool)}
    death = run_python(
        [PROGRAMS / "die_calibrated.py", json.dumps(settings), way], home, **environment
    )
    assert death.returncode == -signal.SIGSEGV, death.stderr
    return home.report()


def layout(report: SpooledReport) -> dict[str, set[str]]:
    capture = open_dump(report.dump).json(METADATA)["capture"]
    return {state: set(names) for state, names in capture["python_layout"].items()}


def codes(report: SpooledReport) -> list[str]:
    return [error["code"] for error in report.document["soft_errors"]]


def python_functions(report: SpooledReport) -> list[str]:
    analysis = analyze(report.dump)
    thread = analysis["threads"][analysis["crash_info"]["crashing_thread"]]
    frames = [frame["python"] for frame in thread["frames"] if frame["kind"] == "python"]
    return [frame["name"] for frame in frames]


def test_a_dump_names_the_fields_that_were_verified(home: Home) -> None:
    report = die(home, "plain")
    fields = layout(report)
    assert fields["verified"] >= ALWAYS_VERIFIED
    assert fields["contradicted"] == fields["corrected"] == set()
    # Zeros stand in many places: with one thread and one interpreter there is nothing else.
    assert fields["assumed"] == {
        "runtime.finalizing",
        "interpreter.next",
        "interpreter.id",
        "thread.next",
    }
    assert codes(report) == []
    assert DYING in python_functions(report)


def test_a_further_thread_verifies_the_list_of_threads(home: Home) -> None:
    fields = layout(die(home, "threads"))
    assert "thread.next" in fields["verified"]
    assert fields["contradicted"] == fields["corrected"] == set()


def test_the_monitor_reads_by_the_offsets_that_were_found(home: Home) -> None:
    report = die(home, "altered")
    assert layout(report)["corrected"] == {"code.name"}
    assert "python_layout_corrected" in codes(report)
    assert DYING not in python_functions(report)
    assert python_functions(report)[0].endswith(".py")


def test_a_damaged_calibration_is_left_alone(home: Home) -> None:
    report = die(home, "damaged")
    assert "python_layout" not in open_dump(report.dump).json(METADATA)["capture"]
    assert "calibration_not_read" in codes(report)
    assert DYING in python_functions(report)


def test_where_memory_cannot_be_read_the_built_in_offsets_are_used(home: Home) -> None:
    report = die(home, "refused")
    assert "python_layout" not in open_dump(report.dump).json(METADATA)["capture"]
    assert DYING in python_functions(report)


def hidden_library(folder: Path) -> Path | None:
    """A copy of our interpreter's library that exports `_PyRuntime` by another name."""
    variables: dict[str, Any] = sysconfig.get_config_vars()
    library = Path(variables.get("LIBDIR") or "") / (variables.get("INSTSONAME") or "")
    if ".so" not in library.name or not library.is_file():
        return None
    copy = folder / library.name
    shutil.copyfile(library, copy)
    content = copy.read_bytes()
    # Names of dynamic symbols come first in the file; the new one has the same hash.
    copy.write_bytes(content.replace(b"\0_PyRuntime\0", b"\0_PyRuntjLe\0", 1))
    return copy


def test_an_interpreter_that_does_not_export_its_runtime_is_found(home: Home) -> None:
    library = hidden_library(home.folder)
    if library is None:
        pytest.skip(f"{sys.executable} has no shared library")
    paths = [str(library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
    report = die(home, "hidden", LD_LIBRARY_PATH=":".join(filter(None, paths)))
    assert DYING in python_functions(report)
    fields = layout(report)
    assert "runtime.interpreters_head" in fields["assumed"]
    assert "frame.previous" in fields["verified"]
    assert fields["contradicted"] == set()
