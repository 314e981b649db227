"""`lastwords.dump()`: a process that lives on leaves a report, or a dump, of itself."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Death, Home, analyze, crashing_frames, run_python
from foreign import read_with_breakpad, read_with_lldb

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.integration


def ask(way: str, home: Home, faults: Path, *more: str | Path) -> Death:
    return run_python(
        [PROGRAMS / "ask.py", way, *more],
        home,
        LASTWORDS_FAULTS=str(faults),
        TEST_DUMP_DIR=str(home.spool),
    )


def names_of(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["python"]["qualname"] for frame in frames if frame["kind"] == "python"]


def test_a_report_is_made_and_the_process_goes_on(home: Home, faults_library: Path) -> None:
    death = ask("plain", home, faults_library)
    assert (death.returncode, death.stderr) == (0, "")
    report = home.report()
    assert death.facts["path"] == str(report.folder)
    mechanism = report.document["mechanism"]
    assert (mechanism["type"], mechanism["handled"]) == ("requested", True)
    assert mechanism["description"] == "it was slow"
    assert mechanism.get("signal") is None
    assert report.document["process"]["pid"] == death.facts["pid"]
    assert report.document["process"]["tid"] == death.facts["tid"]
    assert report.document["annotations"]["purpose"] == "test"
    assert report.document["soft_errors"] == []


def test_the_callers_stack_begins_at_the_call(home: Home, faults_library: Path) -> None:
    death = ask("plain", home, faults_library)
    analysis = analyze(home.report().dump)
    frames = crashing_frames(analysis)
    assert names_of(frames)[:4] == ["dump", "_dump", "dump", "the_caller"]
    assert names_of(frames)[4:] == ["plain", "<module>"]
    native = list(itertools.takewhile(lambda frame: frame["kind"] == "native", frames))
    assert any("_native" in (frame.get("module") or "") for frame in native)
    (caller,) = [f for f in frames if f.get("python", {}).get("qualname") == "plain"]
    assert caller["python"]["line"] == death.facts["line"]


@pytest.mark.foreign
def test_others_read_who_asked(home: Home, faults_library: Path) -> None:
    death = ask("worker", home, faults_library)
    dump = home.report().dump
    breakpad = read_with_breakpad(dump)
    assert breakpad.crash == "DUMP_REQUESTED"
    assert breakpad.thread_ids[breakpad.crashing_thread] == death.facts["worker_tid"]
    lldb = read_with_lldb(dump)
    assert lldb["pid"] == death.facts["pid"]
    assert {thread["tid"] for thread in lldb["threads"]} >= {
        death.facts["worker_tid"],
        death.facts["tid"],
    }


def test_threads_that_ask_at_once_all_get_a_report(home: Home, faults_library: Path) -> None:
    death = ask("together", home, faults_library)
    assert death.stderr == ""
    paths = death.facts["paths"]
    assert len(set(paths)) == 6
    assert {str(report.folder) for report in home.reports()} == set(paths)
    askers = {report.document["process"]["tid"] for report in home.reports()}
    assert len(askers) == 6


def test_other_threads_stand_still_for_a_moment_only(home: Home, faults_library: Path) -> None:
    death = ask("counting", home, faults_library)
    report = home.report()
    assert [dump["kind"] for dump in report.document["dumps"]] == ["mini", "full"]
    assert death.facts["took"] > 0
    assert death.facts["gap"] < 5


def test_dumps_go_where_the_caller_says(home: Home, faults_library: Path, tmp_path: Path) -> None:
    death = ask("files", home, faults_library, tmp_path)
    name = f"_{death.facts['pid']}_REQUESTED"
    first, second = map(Path, death.facts["paths"])
    assert first.name.endswith(f"{name}.dmp")
    assert first.name.startswith("python")
    assert second.name == first.name.replace(".dmp", "_1.dmp")
    found = {path.name for path in (tmp_path / "new folder").iterdir()}
    stems = (first.stem, second.stem)
    assert found == {f"{stem}{kind}.dmp" for stem in stems for kind in ("", "-kernel")}
    assert home.reports() == []
    assert analyze(first)["pid"] == death.facts["pid"]


def test_a_forked_child_dumps_itself(home: Home, faults_library: Path) -> None:
    death = ask("forked", home, faults_library)
    pids = {report.document["process"]["pid"] for report in home.reports()}
    assert pids == {death.facts["pid"], death.facts["child"]}


def test_a_crash_meanwhile_is_reported_as_ever(
    home: Home, faults_library: Path, tmp_path: Path
) -> None:
    for round_ in range(5):
        own = Home(folder=home.folder / str(round_))
        own.folder.mkdir()
        death = ask("crash_meanwhile", own, faults_library, tmp_path)
        assert death.returncode == -signal.SIGSEGV
        report = own.report()
        assert report.document["mechanism"]["signal"]["name"] == "SIGSEGV"
        assert report.document["capture"]["threads"] == "ptrace"
        assert report.document["soft_errors"] == []
        analysis = analyze(report.dump)
        assert "crash_meanwhile" in names_of(crashing_frames(analysis))


def test_what_is_wrong_is_a_warning(home: Home, faults_library: Path) -> None:
    death = ask("unarmed", home, faults_library)
    assert death.returncode == 0
    assert death.facts["path"] is None
    assert death.facts["wrong"] == [None] * 4
    first, *others = death.facts["warnings"]
    assert "not_armed" in first
    assert "lastwords.install()" in first
    codes = [warning.partition(":")[0] for warning in others]
    assert codes == ["order_invalid", "order_invalid", "dump_not_written", "order_too_long"]


def test_signals_meanwhile_neither_disturb_nor_get_lost(home: Home, faults_library: Path) -> None:
    death = ask("signalled", home, faults_library)
    assert death.facts["path"] == str(home.report().folder)
    assert death.facts["seen"] > 0


def test_where_nothing_is_allowed_the_caller_serves_its_memory(
    home: Home, faults_library: Path
) -> None:
    death = ask("refused", home, faults_library)
    report = home.report()
    assert death.facts["path"] == str(report.folder)
    assert death.facts["dumpable"] == 0
    assert report.document["capture"] == {"threads": "none", "memory": "served"}
    assert "the_caller" in names_of(crashing_frames(analyze(report.dump)))
