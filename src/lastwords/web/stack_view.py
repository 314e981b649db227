"""Threads with their stacks as a page shows them, read from a foreign analysis.

What is too much for a page is counted and left to the raw document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.web.frame_view import FrameGroup, stack
from lastwords.web.json_view import mapping, mappings, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ThreadView", "threads"]

MAX_THREADS = 200
_MAX_LINES = 5_000
_MAX_KERNEL_LINES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadView:
    """A thread with its stack, innermost frame first."""

    thread_id: int | None
    name: str | None
    is_crashing: bool
    holds_gil: bool
    groups: tuple[FrameGroup, ...]
    frame_count: int
    left_out: int
    line_count: int
    times: str | None
    kernel_stack: str | None

    @property
    def title(self) -> str:
        """Return the thread's number and name."""
        number = "?" if self.thread_id is None else str(self.thread_id)
        return f"Thread {number} ({self.name})" if self.name else f"Thread {number}"


def threads(analysis: Mapping[str, object]) -> tuple[list[ThreadView], int]:
    """Return the threads, the crashing one first, and how many were left out."""
    found = mappings(analysis.get("threads"))
    crashing = mapping(analysis.get("crash_info")).get("crashing_thread")
    index = crashing if isinstance(crashing, int) and 0 <= crashing < len(found) else None
    holder = mapping(analysis.get("python")).get("gil_holder_thread")
    order = list(range(len(found)))
    if index is not None:
        order.remove(index)
        order.insert(0, index)
    shown: list[ThreadView] = []
    lines = _MAX_LINES
    for position in order[:MAX_THREADS]:
        is_crashing = position == index
        thread = _thread(found[position], lines, is_crashing=is_crashing, gil_holder=holder)
        lines -= thread.line_count
        shown.append(thread)
    if not shown and (only := mapping(analysis.get("crashing_thread"))):
        shown = [_thread(only, lines, is_crashing=True, gil_holder=holder)]
    return shown, max(len(found) - MAX_THREADS, 0)


def _thread(
    document: Mapping[str, object], lines: int, *, is_crashing: bool, gil_holder: object
) -> ThreadView:
    """Read a thread; `lines` is how many more lines the page may have."""
    frames = stack(mappings(document.get("frames")), lines)
    thread_id = number(document.get("thread_id"))
    python = mapping(document.get("python"))
    is_holder = thread_id is not None and thread_id == gil_holder
    kernel = text(document.get("kernel_stack"))
    return ThreadView(
        thread_id=thread_id,
        name=text(document.get("thread_name")),
        is_crashing=is_crashing,
        holds_gil=python.get("holds_gil") is True or is_holder,
        groups=frames.groups,
        frame_count=frames.frame_count,
        left_out=frames.left_out,
        line_count=frames.line_count,
        times=_times(mapping(document.get("info"))),
        kernel_stack="\n".join(kernel.splitlines()[:_MAX_KERNEL_LINES]) if kernel else None,
    )


def _times(info: Mapping[str, object]) -> str | None:
    """When it began, and how long it ran."""
    created = text(info.get("create_time"))
    spans = [info.get("user_s"), info.get("kernel_s")]
    known = [float(span) for span in spans if isinstance(span, int | float)]
    parts = [
        f"started {created}" if created else None,
        f"{sum(known):.2f} s of CPU time" if len(known) == len(spans) else None,
    ]
    return ", ".join(part for part in parts if part) or None
