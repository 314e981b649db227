"""A custom dump with `WithAvxXStateContext` holds what stood in AVX registers."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dying import PROGRAMS, Home, run_python
from foreign import read_with_breakpad, read_with_lldb
from minidump_streams import open_dump

if TYPE_CHECKING:
    from minidump_streams import DumpFile

pytestmark = pytest.mark.integration
EXTENDED_STATE = 0x4C570007
AVX = 1 << 2
YMM8_HIGH = 576 + 8 * 16
"""Upper halves start at 576 in the standard format; all processors have them there."""
FLAG = "custom:WithAvxXStateContext"


def states(dump: DumpFile) -> dict[int, tuple[int, bytes]]:
    """Thread → features, XSAVE area."""
    stream = dump.stream(EXTENDED_STATE)
    version, count = struct.unpack_from("<II", stream)
    assert version == 1
    found, at = {}, 8
    for _ in range(count):
        tid, size, features = struct.unpack_from("<IIQ", stream, at)
        found[tid] = features, stream[at + 16 : at + 16 + size]
        at += 16 + (size + 7) // 8 * 8
    assert at == len(stream)
    return found


def die(home: Home, *kinds: str) -> dict[str, int]:
    if " avx " not in Path("/proc/cpuinfo").read_text("utf-8"):
        pytest.skip("the processor has no AVX")
    compiler = shutil.which("cc")
    assert compiler is not None, "no C compiler"
    library = home.folder / "libvectors.so"
    source = PROGRAMS / "vectors.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    settings = json.dumps({"dump_dir": str(home.spool), "dump_kinds": kinds})
    death = run_python([PROGRAMS / "die_with_vectors.py", library, settings], home)
    assert death.returncode == -signal.SIGSEGV, death.stderr
    facts: dict[str, int] = death.facts
    return facts


def test_registers_of_the_fault_and_of_other_threads_are_there(home: Home) -> None:
    facts = die(home, FLAG)
    report = home.report()
    assert report.document["soft_errors"] == []
    found = states(open_dump(report.dump))
    for thread, first in (("dies", 200), ("spins", 100)):
        features, area = found[facts[thread]]
        assert features & AVX
        upper = area[YMM8_HIGH : YMM8_HIGH + 16]
        assert upper == bytes(range(first + 16, first + 32)), thread
        lower = area[160 + 8 * 16 : 160 + 9 * 16]
        assert lower == bytes(range(first, first + 16)), thread


@pytest.mark.foreign
def test_others_read_the_dump_as_ever(home: Home) -> None:
    facts = die(home, FLAG)
    dump = home.report().dump
    assert facts["dies"] in read_with_breakpad(dump).thread_ids
    threads = read_with_lldb(dump)["threads"]
    assert {thread["tid"] for thread in threads} >= {facts["dies"], facts["spins"]}


def test_nobody_else_pays_for_it(home: Home) -> None:
    die(home, "mini", "custom:WithAvxXStateContext|FilterTriage")
    report = home.report()
    for dump in report.document["dumps"]:
        assert EXTENDED_STATE not in open_dump(report.folder / dump["file"]).streams
