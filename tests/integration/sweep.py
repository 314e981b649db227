"""Crashes whose monitor meets a failing, short, interrupted or late system call, two at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dying import Home, SpooledReport, wait_until
from warm import End, Warm

from lastwords import _native
from lastwords.sdk.native import find_monitor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BUDGET_S", "Outcome", "Trial", "calls_made", "carry_out", "problems"]

MONITOR = Path(find_monitor())
BUDGET_S = 2
SPARE_S = 3.0
"""What a busy machine may add to the budget."""
AT_ONCE = 2
BURST = 20
"""How often in a row a call is interrupted at most: one that always is can never end."""
ERRNOS = (errno.EIO, errno.ENOSPC, errno.EPERM, errno.ENOMEM, errno.EAGAIN, errno.ENOSYS,
          errno.EMFILE, errno.EINTR)  # fmt: skip
MAY_BE_SHORT = {"read", "pread64", "write", "pwrite64", "writev", "readv", "process_vm_readv",
                "getrandom", "copy_file_range", "sendfile"}  # fmt: skip
MAY_BE_INTERRUPTED = MAY_BE_SHORT | {
    "openat", "poll", "recvfrom", "recvmsg", "sendto", "wait4", "fsync", "mkdir", "rename", "statx",
    "newfstatat", "getdents64", "clock_nanosleep",
}  # fmt: skip
"""By a signal, or by a file system of a network or of a process."""
CANNOT_FAIL = {"exit", "exit_group", "execve", "rt_sigreturn", "restart_syscall"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One order for the monitor, and how it is called in messages."""

    name: str
    order: str

    @property
    def is_passing(self) -> bool:
        """Whether the trouble goes by, so that whoever tries again has everything.

        At the start that is so for our own calls only: the dynamic linker does not try again.
        """
        phase, call, _, trouble = self.name.split()
        if phase == "start" and call not in {"poll", "recvfrom"}:
            return trouble == "late"
        return trouble in {"short", "late"} or (trouble == "EINTR" and call in MAY_BE_INTERRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one trial."""

    trial: Trial
    end: End
    hits: int
    monitors: tuple[int, ...]
    home: Home


def numbers() -> dict[str, int]:
    """Numbers of the system calls by name, from the C library's headers."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.is_file():
        header = Path("/usr/include/asm/unistd_64.h")
    found = re.findall(r"^#define __NR_(\w+) (\d+)$", header.read_text("utf-8"), re.MULTILINE)
    return {name: int(number) for name, number in found}


def calls_made(home: Home, faulty: Path) -> dict[str, Counter[str]]:
    """How often each system call is made during a crash that nobody disturbs, by phase."""
    names = {number: name for name, number in numbers().items()}
    with Warm(home, monitor=faulty, behind=MONITOR, budget_s=BUDGET_S) as warm:
        end = warm.die(order="record", threads=2)
        log = (warm.notes / f"{end.pid}.log").read_text("utf-8")
    made: dict[str, Counter[str]] = {"start": Counter(), "crash": Counter()}
    for phase, number in re.findall(r"^call (\w+) (\d+)$", log, re.MULTILINE):
        made[phase.lower()][names[int(number)]] += 1
    return made


def trials(made: dict[str, Counter[str]], *, is_full: bool) -> list[Trial]:
    """Every call, at each position, in every way that it can go wrong.

    Positions are the first, the middle and the last one and all of them; with `is_full` every one.
    """
    known, found = numbers(), []
    for phase, counter in made.items():
        for name, count in sorted(counter.items()):
            if name in CANNOT_FAIL:
                continue
            places = {1: "first", (count + 1) // 2: "middle", count: "last"}
            if phase == "start" and not is_full:
                places = {1: "first"}
            if is_full:
                places = {nth: str(nth) for nth in range(1, count + 1)} | places
            for nth, place in [*places.items(), (0, "all")]:
                found += _trials_of(phase, name, known[name], nth, place)
    return found


def _trials_of(phase: str, name: str, number: int, nth: int, place: str) -> list[Trial]:
    first, times = (nth, 1) if nth else (1, 0)
    what = f"{phase} {name} {place}"
    found = []
    for code in ERRNOS:
        often = min(BURST, times or BURST) if code == errno.EINTR else times
        order = f"fail {phase} {number} {first} {often} {code}"
        found.append(Trial(name=f"{what} {errno.errorcode[code]}", order=order))
    if name in MAY_BE_SHORT:
        order = f"short {phase} {number} {first} {times} 0"
        found.append(Trial(name=f"{what} short", order=order))
    if nth:
        found.append(Trial(name=f"{what} late", order=f"delay {phase} {number} {first} 1 100"))
    return found


def carry_out(
    found: Sequence[Trial], folder: Path, faulty: Path, **settings: object
) -> list[Outcome]:
    """Die once for each trial."""

    def share(index: int) -> list[Outcome]:
        home = Home(folder=folder / f"home-{index}")
        home.folder.mkdir()
        settled = {"budget_s": BUDGET_S} | settings
        with Warm(home, monitor=faulty, behind=MONITOR, **settled) as warm:
            return [_outcome(trial, warm, home) for trial in found[index::AT_ONCE]]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [outcome for outcomes in pool.map(share, range(AT_ONCE)) for outcome in outcomes]


def _outcome(trial: Trial, warm: Warm, home: Home) -> Outcome:
    end = warm.die(order=trial.order, threads=2)
    log = warm.notes / f"{end.pid}.log"
    text = log.read_text("utf-8") if log.exists() else ""
    monitors = tuple(int(pid) for pid in re.findall(r"^monitor (\d+)$", text, re.MULTILINE))
    return Outcome(trial=trial, end=end, hits=text.count("hit "), monitors=monitors, home=home)


def problems(outcomes: Iterable[Outcome]) -> list[str]:
    """What is wrong with them; a report with soft errors is not, nor is a line that says why."""
    by_home: dict[Path, dict[int, SpooledReport]] = {}
    found = []
    for outcome in outcomes:
        folder = outcome.home.folder
        if folder not in by_home:
            reports = outcome.home.reports()
            by_home[folder] = {report.document["process"]["pid"]: report for report in reports}
        wrong = _wrong(outcome, by_home[folder].get(outcome.end.pid))
        found += [f"{outcome.trial.name}: {what}" for what in wrong]
    return found


def _wrong(outcome: Outcome, report: SpooledReport | None) -> list[str]:
    end, wrong = outcome.end, []
    if not os.WIFSIGNALED(end.status) or os.WTERMSIG(end.status) != signal.SIGSEGV:
        wrong.append(f"the host ended with status {end.status:#x}")
    if end.seconds > BUDGET_S + SPARE_S:
        wrong.append(f"the host was kept for {end.seconds:.1f} s")
    if end.zombies:
        wrong.append("a zombie is left")
    lines = [line for line in end.stderr.splitlines() if line.startswith("lastwords: ")]
    if len(lines) != 1:
        wrong.append(f"stderr: {end.stderr!r}")
    if report is not None:
        is_told = " is incomplete: " in end.stderr
        wrong += _wrong_in(report) if not is_told else []
    elif outcome.trial.is_passing:
        wrong.append(f"no report, though the trouble passed: {end.stderr!r}")
    elif " report " in end.stderr and "no report" not in end.stderr:
        place = re.search(r" in (/\S+)", end.stderr)
        if place and not Path(place[1].rstrip(":")).exists():
            wrong.append(f"a report was promised: {end.stderr!r}")
    return wrong


def _wrong_in(report: SpooledReport) -> list[str]:
    document = report.document
    if document["mechanism"]["signal"]["number"] != signal.SIGSEGV:
        return [f"the report tells of {document['mechanism']}"]
    if document.get("dump") is None:
        return [] if document["soft_errors"] else ["neither a dump nor a soft error"]
    if report.dump.stat().st_size != document["dump"]["size_bytes"]:
        return ["the dump has another size than the report says"]
    try:
        analysis = json.loads(_native.analyze_dump(str(report.dump), b'{"local_modules": false}'))
    except _native.CoreError as error:
        return [f"the dump cannot be read: {error}"]
    told = analysis["crash_info"]["type"] or "nothing"
    return [] if "SIGSEGV" in told or document["soft_errors"] else [f"the dump tells of {told}"]


def left_behind(outcomes: Iterable[Outcome]) -> list[str]:
    """Monitors that are still there some seconds after their process."""
    pids = {pid: outcome for outcome in outcomes for pid in outcome.monitors}

    def alive() -> list[int]:
        return [pid for pid in pids if _is_alive(pid)]

    with contextlib.suppress(AssertionError):
        wait_until(lambda: not alive(), "the end of all monitors", 10)
    return [f"{pids[pid].trial.name}: monitor {pid} is still there" for pid in alive()]


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return "\nState:\tZ" not in status and ("lw-monitor" in status or "lastwords-monit" in status)


def kill_left_behind(outcomes: Iterable[Outcome]) -> None:
    """End what should have ended by itself."""
    for outcome in outcomes:
        for pid in outcome.monitors:
            if _is_alive(pid):
                subprocess.run(["kill", "-KILL", str(pid)], check=False, timeout=10)
