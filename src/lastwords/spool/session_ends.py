"""Judges a session that nobody holds any more: whether its process is gone, and how it ended.

Owns no file: `sessions` finds, locks and removes them.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from lastwords.report.crash_report import CrashReport, EndInfo

__all__ = ["Machine", "Session", "Verdict", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the search runs; `None` = not known, and then nothing is equal to it."""

    boot_id: str | None
    pid_namespace: int | None
    host: str | None

    @classmethod
    def here(cls) -> Machine:
        """Describe this machine and this pid namespace."""
        namespace = None
        with contextlib.suppress(OSError):
            namespace = os.stat("/proc/self/ns/pid").st_ino
        name = _line("/proc/sys/kernel/hostname")
        return cls(
            boot_id=_line("/proc/sys/kernel/random/boot_id"),
            pid_namespace=namespace,
            host=None if name is None else f"{_fnv_1a(name.encode()):016x}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session file; see the monitor's `session.rs` for its fields."""

    path: str
    session_id: str
    age_s: float
    document: dict[str, object]

    def text(self, key: str) -> str | None:
        """Return a text field; `None` when it is not there."""
        value = self.document.get(key)
        return value if isinstance(value, str) and value else None

    def number(self, key: str) -> int | None:
        """Return an integer field; `None` when it is not there."""
        value = self.document.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def report(self) -> CrashReport:
        """The fields of a report that the SDK prepared."""
        value = self.document.get("report")
        return CrashReport.from_json(value if isinstance(value, dict) else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a session's process.

    Args:
        is_alive: It lives, or may live: nothing is to be said.
        end: How it ended; `None` when it is alive or nobody can tell.
    """

    is_alive: bool = False
    end: EndInfo | None = None


_UNKNOWN = Verdict()
_ALIVE = Verdict(is_alive=True)


def judge(session: Session, here: Machine) -> Verdict:
    """Say how the process of a session ended whose lock is free."""
    boot_id = session.text("boot_id")
    is_elsewhere = session.text("host") != here.host
    is_lock_local = session.document.get("is_lock_shared") is False
    if None in (boot_id, here.boot_id) or (is_elsewhere and not is_lock_local):
        return _UNKNOWN  # another machine may hold the lock unseen
    if boot_id != here.boot_id:
        return _ended(
            session,
            "power_loss",
            f"the machine was started again: its boot id was {boot_id}, now {here.boot_id}",
        )
    if session.number("pid_namespace") == here.pid_namespace is not None:
        if _start_ticks(session.number("pid")) == session.number("start_ticks"):
            return _ALIVE
        place = "the machine was not restarted since, so both were killed"
        return _ended(session, "killed_with_monitor", place)
    if session.document.get("is_locked") is not True:
        return _UNKNOWN
    place = (
        "they ran in another pid namespace: their container was stopped, or its first process "
        "ended, with which the kernel kills all others"
    )
    return _ended(session, "killed_with_monitor", place)


def _ended(session: Session, cause: str, reason: str) -> Verdict:
    gone = (
        f"process {session.number('pid')} and its monitor are gone, and neither told of an end; "
        f"the watch began at {session.text('started')}"
    )
    return Verdict(end=EndInfo(cause=cause, certainty="likely", evidence=(gone, reason)))


def _start_ticks(pid: int | None) -> int | None:
    """When a process started, in clock ticks (proc_pid_stat(5), field 22); `None` without one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read(4096).rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096).strip() or None
    except OSError:
        return None


def _fnv_1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value
