"""The streams beside stacks and modules, of a real process, against what is known of it."""

from __future__ import annotations

import json
import os
import signal
import struct
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, Death, Home, run_python
from minidump_streams import (
    AUXV,
    BREADCRUMBS,
    COMMENT_A,
    COMMENT_W,
    EXCEPTION,
    HANDLE_DATA,
    METADATA,
    MISC_INFO,
    PROC_STATUS,
    THREAD_INFO_LIST,
    VM_COUNTERS,
    DumpFile,
    open_dump,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

FILETIME_OF_1970 = 116_444_736_000_000_000


def die(home: Home, where: str = "main") -> tuple[Death, DumpFile, dict[str, Any]]:
    settings = {"dump_dir": str(home.spool)}
    death = run_python([PROGRAMS / "die_dumped.py", json.dumps(settings), where], home)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    report = home.report()
    return death, open_dump(report.dump), report.document


def test_pid_and_times_are_those_of_the_process_also_when_a_thread_died(home: Home) -> None:
    death, dump, _ = die(home, "thread")
    assert death.facts["pid"] != death.facts["tid"]
    _, flags, pid, created, user_s, kernel_s = struct.unpack("<6I", dump.stream(MISC_INFO)[:24])
    assert (flags & 3, pid) == (3, death.facts["pid"])
    assert 0 <= death.facts["started"] - created < 60
    assert user_s + kernel_s < 60
    status = dict(line.split(":", 1) for line in dump.stream(PROC_STATUS).decode().splitlines())
    assert int(status["Pid"]) == int(status["Tgid"]) == death.facts["pid"]
    entries = struct.iter_unpack("<QQ", dump.stream(AUXV))
    assert 4096 in [value for kind, value in entries if kind == 6]  # AT_PAGESZ


def test_every_thread_has_times_and_processors(home: Home) -> None:
    death, dump, _ = die(home)
    stream = dump.stream(THREAD_INFO_LIST)
    header, entry, count = struct.unpack_from("<3I", stream)
    assert (header, entry, count, len(stream)) == (12, 64, 4, 12 + 4 * 64)
    threads = {}
    for n in range(count):
        thread, flags, error, status, *times = struct.unpack_from("<4I6Q", stream, 12 + 64 * n)
        assert (flags, error, status) == (0, 0, 0x103)
        threads[thread] = times
    created, exited, _kernel, user, start, affinity = threads[death.facts["tid"]]
    seconds = (created - FILETIME_OF_1970) / 10_000_000
    assert 0 <= death.facts["started"] - seconds < 60
    assert (exited, start) == (0, 0)
    assert user > 0
    assert affinity == sum(1 << cpu for cpu in os.sched_getaffinity(0) if cpu < 64)


def test_open_files_have_their_types(home: Home) -> None:
    death, dump, _ = die(home)
    stream = dump.stream(HANDLE_DATA)
    header, entry, count, _ = struct.unpack_from("<4I", stream)
    assert (header, entry) == (16, 32)
    handles = {}
    for n in range(count):
        number, kind, name, mode, flags, _, _ = struct.unpack_from("<Q6I", stream, 16 + 32 * n)
        handles[number] = (dump.string(kind), dump.string(name), oct(mode)[2:-3], flags & 3)
    facts = death.facts
    assert handles[facts["file"]][:2] == ("File", f"{home.folder}/planted-file.txt")
    assert handles[facts["file"]][2:] == ("100", os.O_WRONLY)
    assert handles[facts["socket"]][0] == "Socket"
    assert handles[facts["pipe"]][0] == "Pipe"
    assert handles[facts["memfd"]][0] == "Memfd"
    assert handles[facts["memfd"]][1].startswith("/memfd:landmark")
    assert handles[0][:3] == ("CharacterDevice", "/dev/null", "20")


def test_the_comment_says_who_and_why(home: Home) -> None:
    death, dump, _ = die(home)
    comment = dump.stream(COMMENT_A).decode()
    assert comment == dump.stream(COMMENT_W).decode("utf-16-le")
    tool, reason = comment.strip("\n\0").splitlines()
    assert tool.startswith("*** lastwords-monitor ")
    assert tool.endswith("(mini dump)")
    expected = "*** Unhandled exception: SIGSEGV.SEGV_MAPERR at 0x0000000000000008"
    assert reason == f"{expected} in thread {death.facts['tid']}"


def test_the_dump_tells_what_the_report_tells(home: Home) -> None:
    _, dump, report = die(home)
    metadata = dump.json(METADATA)
    assert metadata["capture"].pop("python_layout")  # of the dump alone: what was read by it
    for key in ("report_id", "created", "product", "version", "capture"):
        assert metadata[key] == report[key], key
    assert metadata["mechanism"]["signal"] == report["mechanism"]["signal"]
    assert metadata["annotations"] == report["annotations"]
    assert metadata["annotations"] == {"scene": "planted-annotation", "level": 7}
    assert metadata["dump_kind"] == "mini"
    (crumb,) = report["breadcrumbs"]
    assert dump.json(BREADCRUMBS) == [crumb]
    time = datetime.fromisoformat(crumb.pop("time").replace("Z", "+00:00"))
    assert 0 <= (datetime.now(timezone.utc) - time).total_seconds() < 120
    assert crumb == {
        "level": "warning",
        "category": "game",
        "message": "planted-breadcrumb",
        "data": {"step": 3},
    }


def test_memory_counters_make_sense(home: Home) -> None:
    _, dump, _ = die(home)
    stream = dump.stream(VM_COUNTERS)
    revision, faults = struct.unpack_from("<HxxI", stream)
    peak, resident = struct.unpack_from("<QQ", stream, 8)
    size, peak_size, private = struct.unpack_from("<QQQ", stream, 56)
    assert (len(stream), revision) == (80, 1)
    assert faults > 100
    assert 1 << 20 < private <= resident <= peak < size <= peak_size


FAULTS = {
    "fault_read_null": (11, 1, (0, 0)),
    "fault_write_null": (11, 1, (1, 0)),
    "fault_execute_null": (11, 1, (8, 0)),
    "fault_bus_past_end": (7, 2, (0, None)),
    "fault_write_read_only": (11, 2, (1, None)),
    "fault_read_non_canonical": (11, 0x80, None),
    "fault_divide": (8, 1, None),
    "kill-11": (11, -6, None),
}
"""Fault → signal, code, kind of access and address (`None` = not the same in each run)."""


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_kind_of_access_is_told_for_page_faults_only(
    home: Home, faults_library: Path, fault: str
) -> None:
    number, code, access = FAULTS[fault]
    environment = {"TEST_DUMP_DIR": str(home.spool), "LASTWORDS_FAULTS": str(faults_library)}
    death = run_python([PROGRAMS / "die.py", fault, "main"], home, **environment)
    assert death.returncode == -number, death.stderr
    stream = open_dump(home.report().dump).stream(EXCEPTION)
    thread, _, signal_number = struct.unpack_from("<3I", stream)
    (signal_code,) = struct.unpack_from("<i", stream, 12)
    address, count = struct.unpack_from("<QI", stream, 24)
    kind, place = struct.unpack_from("<QQ", stream, 40)
    assert (thread, signal_number, signal_code) == (death.facts["tid"], number, code)
    if access is None:
        assert count == 0
        return
    assert (count, kind, place) == (2, access[0], address)
    assert access[1] in (None, address)
