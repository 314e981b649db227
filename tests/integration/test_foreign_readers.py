"""Debuggers that we did not write read every kind of dump, and agree with us."""

from __future__ import annotations

import json
import signal
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, Home, analyze, run_python
from foreign import read_with_breakpad, read_with_lldb
from minidump_streams import open_dump

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

KINDS = ("mini", "triage", "full", "miniplus", "custom:0x1844", "kernel")


@pytest.fixture(scope="module")
def death(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any]]:
    """One death with a dump of every kind, and what the dying program said of itself."""
    home = Home(folder=tmp_path_factory.mktemp("foreign"))
    settings = {"dump_dir": str(home.spool), "dump_kinds": KINDS}
    program = [PROGRAMS / "die_dumped.py", json.dumps(settings), "thread"]
    died = run_python(program, home)
    assert died.returncode == -signal.SIGSEGV, died.stderr
    return home, died.facts


@cache
def of_us(dump: Path) -> dict[str, Any]:
    """Our own reading, made once."""
    return analyze(dump)


@cache
def of_lldb(dump: Path, memory: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """LLDB's reading, made once: it takes its time."""
    return read_with_lldb(dump, memory=memory)


@pytest.fixture
def places(death: tuple[Home, dict[str, Any]], dump: Path) -> tuple[tuple[int, int], ...]:
    """Addresses and sizes that everybody reads: private memory, and the crashing stack."""
    sp = int(of_us(dump)["crashing_thread"]["frames"][0]["registers"]["rsp"], 16)
    return ((death[1]["private"], 15), (sp, 64))


@pytest.fixture
def lldb(dump: Path, places: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    """What LLDB sees."""
    return of_lldb(dump, places)


@pytest.fixture(params=[kind.partition(":")[0] for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of dump."""
    return str(request.param)


@pytest.fixture
def dump(death: tuple[Home, dict[str, Any]], kind: str) -> Path:
    """The dump of that kind."""
    report = death[0].report()
    (file,) = [one["file"] for one in report.document["dumps"] if one["kind"] == kind]
    return report.folder / file


def last_part(path: str | None) -> str:
    return (path or "").rpartition("/")[2]


def test_the_same_threads_modules_and_reason(
    death: tuple[Home, dict[str, Any]], dump: Path, kind: str, lldb: dict[str, Any]
) -> None:
    ours, breakpad = of_us(dump), read_with_breakpad(dump)
    assert ours["lastwords"]["dump"]["kind"] == kind
    threads = [thread["thread_id"] for thread in ours["threads"]]
    assert sorted(threads) == sorted(thread["tid"] for thread in lldb["threads"])
    assert sorted(threads) == sorted(breakpad.thread_ids)
    crashed = threads[ours["crash_info"]["crashing_thread"]]
    assert crashed == death[1]["tid"] == breakpad.thread_ids[breakpad.crashing_thread]
    (stopped,) = [thread for thread in lldb["threads"] if thread["signal"] is not None]
    assert (stopped["tid"], stopped["signal"]) == (crashed, signal.SIGSEGV)
    assert breakpad.crash == "SIGSEGV /SEGV_MAPERR"
    assert breakpad.address == int(ours["crash_info"]["address"], 16) == 8
    bases = {last_part(one["code_file"]): int(one["base_addr"], 16) for one in ours["modules"]}
    assert breakpad.bases.items() <= bases.items()
    seen = {last_part(one["path"]): one["base"] for one in lldb["modules"]}
    shared = seen.keys() & bases.keys()
    assert {"libc.so.6"} <= shared
    assert {name: seen[name] for name in shared} == {name: bases[name] for name in shared}
    ids = {last_part(one["code_file"]): one["code_id"] for one in ours["modules"]}
    uuids = {last_part(one["path"]): one["uuid"] for one in lldb["modules"]}
    known = [name for name in shared if uuids[name]]
    assert known
    assert all(ids[name].startswith(uuids[name]) for name in known)


def test_the_same_registers(dump: Path, lldb: dict[str, Any]) -> None:
    crashing = of_us(dump)["crashing_thread"]
    registers = crashing["frames"][0]["registers"]
    (seen,) = [one for one in lldb["threads"] if one["tid"] == crashing["thread_id"]]
    for name in ("rip", "rsp", "rbp", "rax", "rdi", "r12", "r15"):
        assert seen["registers"][name] == int(registers[name], 16), name


def test_the_same_memory(
    dump: Path, kind: str, places: tuple[tuple[int, int], ...], lldb: dict[str, Any]
) -> None:
    own = open_dump(dump)
    held = [own.read(address, size) for address, size in places]
    assert lldb["memory"] == [None if data is None else data.hex() for data in held]
    assert lldb["memory"][1] is not None, "the stack is in every kind"
    holds_private = lldb["memory"][0] == b"planted-private".hex()
    assert holds_private == (kind in {"full", "miniplus"})


def test_the_frames_of_the_crash_agree(dump: Path, lldb: dict[str, Any]) -> None:
    """As far as LLDB walks by call frame information, it finds our native frames."""
    crashing = of_us(dump)["crashing_thread"]
    (seen,) = [one for one in lldb["threads"] if one["tid"] == crashing["thread_id"]]
    native = [frame for frame in crashing["frames"] if frame["kind"] == "native"]
    assert seen["frames"][0]["pc"] == int(native[0]["offset"], 16)
    # Return addresses: ours are those of the call, one byte less.
    callers = {int(frame["offset"], 16) + 1 for frame in native[1:]}
    assert seen["frames"][1]["pc"] in callers
