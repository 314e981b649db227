"""Last steps: the ways in which a thread stands still, each in a native function of our own."""

from __future__ import annotations

from dataclasses import dataclass

from steps import Kind

__all__ = ["CRASH", "HOLD", "STOPS", "Stop"]

READ, POLL, NANOSLEEP, FUTEX, PAUSE, CLOCK_NANOSLEEP = 0, 7, 35, 202, 34, 230


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A last step, and the system calls of which its thread waits in one."""

    kind: Kind
    system_calls: frozenset[int]


def _stop(name: str, calls: set[int], natives: str, call: str = "steps.stop_{}(NOTE)") -> Stop:
    source = f"\ndef $here():\n    return {call.format(name)}\n"
    kind = Kind(name=f"stop_{name}", source=source, frames=f"py $here\nown stop_{name}\n{natives}")
    return Stop(kind=kind, system_calls=frozenset(calls))


STOPS = [
    _stop("read", {READ}, "lib (__)?(GI_)?_*(libc_)?read"),
    _stop("sleep", {NANOSLEEP, CLOCK_NANOSLEEP}, "lib .*nanosleep.*"),
    _stop("poll", {POLL}, "lib .*poll"),
    _stop("condition", {FUTEX}, "own wait_condition\nlib .*pthread_cond_wait.*"),
    _stop("lock", {FUTEX}, "own wait_lock\nlib .*pthread_mutex_lock.*"),
    _stop("pause", {PAUSE}, "own leaf_pause"),
    _stop("entry", {PAUSE}, "own leaf_entry"),
    _stop("pushed", {PAUSE}, "own leaf_pushed"),
    _stop("framed", {PAUSE}, "own leaf_framed"),
    _stop("popped", {PAUSE}, "own leaf_popped"),
    _stop("saved", {PAUSE}, "own leaf_saved"),
]
CRASH = _stop("crash", set(), "")
"""The end of a process."""
HOLD = _stop("hold", {READ}, "lib (__)?(GI_)?_*(libc_)?read")
"""That of the main thread: it keeps the GIL."""
