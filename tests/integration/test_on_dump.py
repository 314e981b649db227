"""`lastwords.on_dump()`: real dumps of real processes hold what a Python function added."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from dying import PROGRAMS, Death, Home, run_python
from foreign import read_with_breakpad, read_with_lldb
from minidump_streams import DumpFile, open_dump

pytestmark = pytest.mark.integration
STREAM = 0x12340001


def run(home: Home, way: str, *kinds: str) -> Death:
    settings = {"dump_dir": str(home.spool), "dump_kinds": kinds or ["mini"]}
    return run_python([PROGRAMS / "adds.py", way, json.dumps(settings)], home)


def die(home: Home, way: str, *kinds: str) -> Death:
    death = run(home, way, *kinds)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    return death


def dumps_of(home: Home) -> dict[str, DumpFile]:
    report = home.report()
    return {
        dump["kind"]: open_dump(report.folder / dump["file"]) for dump in report.document["dumps"]
    }


def soft_errors(home: Home) -> list[str]:
    return [error["code"] for error in home.report().document["soft_errors"]]


def is_held(dump: DumpFile, death: Death) -> bool:
    facts = death.facts
    held = dump.read(facts["buffer"] + 100, 13), dump.read(facts["area"], 12)
    return held in ((b"planted-array", b"planted-area"), (b"planted-array", b"planted-late"))


def test_a_crash_holds_the_last_answer_and_memory_as_it_is(home: Home) -> None:
    death = die(home, "crash", "mini", "full", "kernel", "custom:Normal")
    dumps = dumps_of(home)
    assert len(dumps) == 4
    for kind, dump in dumps.items():
        assert dump.stream(STREAM) == b"planted-first", kind
        assert dump.read(death.facts["area"], 12) == b"planted-late", kind
        assert is_held(dump, death), kind
    assert (death.facts["calls"], soft_errors(home)) == (1, [])


def test_a_refreshed_answer_replaces_the_first(home: Home) -> None:
    death = die(home, "refreshed")
    dump = dumps_of(home)["mini"]
    assert dump.stream(STREAM) == b"planted-second"
    assert is_held(dump, death)
    assert death.facts["calls"] == 2


def test_a_dump_on_demand_asks_first(home: Home) -> None:
    death = run(home, "asks")
    assert (death.returncode, death.stderr) == (0, "")
    dump = dumps_of(home)["mini"]
    assert dump.stream(STREAM) == b"planted-fresh"
    assert is_held(dump, death)


def test_triage_and_filtered_dumps_hold_nothing_of_it(home: Home) -> None:
    death = die(home, "crash", "triage", "custom:FilterMemory", "mini")
    dumps = dumps_of(home)
    for kind in ("triage", "custom"):
        assert STREAM not in dumps[kind].streams
        assert dumps[kind].read(death.facts["area"], 12) is None
        assert not dumps[kind].holds("planted-array")
    assert is_held(dumps["mini"], death)


def test_a_function_that_is_taken_back_leaves_nothing(home: Home) -> None:
    death = die(home, "removed")
    dump = dumps_of(home)["mini"]
    assert STREAM not in dump.streams
    assert dump.read(death.facts["area"], 12) is None


def test_a_forked_child_keeps_the_answer(home: Home) -> None:
    death = run(home, "forked")
    dump = dumps_of(home)["mini"]
    assert dump.stream(STREAM) == b"planted-first"
    assert is_held(dump, death)


def test_memory_that_is_gone_is_told(home: Home) -> None:
    death = die(home, "gone")
    assert soft_errors(home) == ["addition_not_mapped"]
    assert is_held(dumps_of(home)["mini"], death)


def test_a_function_that_raises_leaves_its_last_answer(home: Home) -> None:
    death = run(home, "raises")
    (told,) = death.facts["told"]
    assert "on_dump_failed" in told
    assert "ValueError: planted-problem" in told
    dump = dumps_of(home)["mini"]
    assert dump.stream(STREAM) == b"planted-first"
    assert is_held(dump, death)


def test_a_function_that_hangs_in_another_thread_holds_nobody_up(home: Home) -> None:
    death = run(home, "hangs")
    assert (death.facts["path"] is not None, death.facts["is_over"]) == (True, False)
    assert any("still running in another thread" in text for text in death.facts["told"])
    assert death.facts["took"] < 6
    assert is_held(open_dump(Path(death.facts["path"]) / "dump.dmp"), death)


def test_a_function_may_ask_for_a_dump(home: Home) -> None:
    death = run(home, "nested")
    assert (death.returncode, death.stderr) == (0, "")
    assert death.facts["calls"] == 1
    assert STREAM not in dumps_of(home)["mini"].streams, "the answer was not given yet"


@pytest.mark.foreign
def test_others_read_the_memory(home: Home) -> None:
    facts = die(home, "refreshed").facts
    dump = home.report().dump
    memory = read_with_lldb(dump, memory=[(facts["area"], 12), (facts["buffer"] + 100, 13)])
    assert [bytes.fromhex(piece) for piece in memory["memory"]] == [
        b"planted-area",
        b"planted-array",
    ]
    assert f"{facts['area']:x}" in read_with_breakpad(dump).dump_text
