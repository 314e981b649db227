"""What programs that we did not write see in a dump or core."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[2]
BREAKPAD = REPOSITORY / ".tools/node_modules/minidump/bin/linux-x64"
TIMEOUT_S = 120
LACKS_STACK = "memory region problem|No memory region for|without memory or stack"
"""What Breakpad says of a thread without stack memory (minidump.cc, minidump_processor.cc)."""


def tool(name: str | Path) -> str:
    """Path of a foreign program; without it the test is skipped, or fails where CI=true."""
    found = shutil.which(name)
    if found:
        return found
    reason = f"{name} is missing; `make foreign` says how to get it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "LC_ALL": "C", "DEBUGINFOD_URLS": ""},
    )


def executable() -> Path:
    """The file that really runs as this interpreter."""
    return Path(sys.executable).resolve()


def read_with_lldb(dump: Path, *, memory: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    """Threads, modules, stop reason and memory as LLDB sees them; fails on any complaint.

    `memory`: addresses and sizes; the contents are hexadecimal, `None` for what is not there.
    """
    done = _run(
        tool("lldb-19"), "--batch", "--no-lldbinit",
        "-o", f"command script import {Path(__file__).with_name('lldb_facts.py')}",
        "-o", f"target create --core {dump} {executable()}",
        "-o", f"facts {json.dumps(memory)}",
    )  # fmt: skip
    facts = re.findall(r"^FACTS (.*)$", done.stdout, re.MULTILINE)
    assert facts, done.stdout + done.stderr
    complaints = [line for line in done.stderr.splitlines() if re.match("(error|warning):", line)]
    # LLDB says this of `crates/faults`, whose source is Rust; it is not about the dump.
    complaints = [line for line in complaints if 'no plugin for the language "rust"' not in line]
    assert complaints == [], complaints
    known = json.loads(facts[0])
    assert isinstance(known, dict)
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakpadView:
    """What Breakpad's tools say about a dump."""

    crash: str
    address: int
    crashing_thread: int
    modules: dict[str, str]
    """File name → Breakpad's debug identifier."""
    bases: dict[str, int]
    thread_ids: list[int]
    dump_text: str


def read_with_breakpad(dump: Path, *, has_stack: bool = True) -> BreakpadView:
    """The dump as `minidump_stackwalk -m` and `minidump_dump` see it; fails when they refuse it.

    Without `has_stack` they may complain of a thread whose stack pointer points to no memory.
    """
    walked = _run(tool(BREAKPAD / "minidump_stackwalk"), "-m", dump)
    assert walked.returncode == 0, walked.stderr[-2000:]
    shown = _run(tool(BREAKPAD / "minidump_dump"), dump)
    complaints = [line for line in walked.stderr.splitlines() if " ERROR: " in line]
    if not has_stack:
        complaints = [line for line in complaints if not re.search(LACKS_STACK, line)]
    assert complaints == [], complaints
    rows = [line.split("|") for line in walked.stdout.splitlines()]
    (crash,) = [row for row in rows if row[0] == "Crash"]
    modules = [row for row in rows if row[0] == "Module"]
    threads = re.findall(r"^MDRawThread\n  thread_id\s+= (0x[0-9a-f]+)", shown.stdout, re.MULTILINE)
    return BreakpadView(
        crash=crash[1],
        address=int(crash[2], 16),
        crashing_thread=int(crash[3]),
        modules={row[1]: row[4] for row in modules},
        bases={row[1]: int(row[5], 16) for row in modules},
        thread_ids=[int(thread, 16) for thread in threads],
        dump_text=shown.stdout,
    )


def read_core_with_gdb(core: Path) -> dict[str, Any]:
    """Signal, address, program counter and native frames of a system core, as gdb sees them."""
    done = _run(
        tool("gdb"), "--nx", "--batch",
        "-ex", "set print frame-arguments none", "-ex", "set print address on",
        "-ex", 'printf "SIGNAL %d\\n", $_siginfo.si_signo',
        "-ex", 'printf "CODE %d\\n", $_siginfo.si_code',
        "-ex", 'printf "ADDRESS %lu\\n", $_siginfo._sifields._sigfault.si_addr',
        "-ex", 'printf "PC %lu\\n", $pc',
        "-ex", "bt", executable(), core,
    )  # fmt: skip
    numbers = dict(re.findall(r"^(SIGNAL|CODE|ADDRESS|PC) (-?\d+)$", done.stdout, re.MULTILINE))
    assert len(numbers) == 4, done.stdout + done.stderr
    functions = re.findall(
        r"^#\d+\s+(?:0x[0-9a-f]+ in )?((?:\(anonymous namespace\)::)?[^\s(]+)",
        done.stdout[done.stdout.index("\nPC ") :],  # before that stands where the core was left
        re.MULTILINE,
    )
    return {key.lower(): int(value) for key, value in numbers.items()} | {"functions": functions}


def build_ids(maps: str) -> dict[str, tuple[int, str]]:
    """Path → (lowest address, build id) of the ELF files in the text of `/proc/PID/maps`."""
    bases: dict[str, int] = {}
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            start = int(fields[0].partition("-")[0], 16)
            bases[fields[5]] = min(start, bases.get(fields[5], start))
    found = {}
    for path, base in bases.items():
        notes = _run(tool("readelf"), "-n", path)  # fails on what is no ELF file
        build_id = re.search(r"Build ID: ([0-9a-f]+)", notes.stdout)
        if notes.returncode == 0 and build_id:
            found[path] = (base, build_id[1])
    return found


def as_debug_identifier(build_id: str) -> str:
    """Breakpad's identifier: 16 bytes of the build id as a GUID, and age 0."""
    raw = bytes.fromhex(build_id)[:16].ljust(16, b"\0")
    return (raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]).hex().upper() + "0"
