"""What is known to be wrong, and waits to be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interpreters import Interpreter

__all__ = ["known_defect"]

_ANY = (3, 99)
_END = "a walk that ends before the thread's first frame has no mark"
_ABOVE = "an alternate stack above the thread's: Python frames are unplaced, native ones unmarked"
_DEFECTS = [
    ("greenlets", (3, 10), (3, 10), "greenlet has a CFrame of its own: frames are off by one"),
    ("other_stacks", (3, 9), (3, 9), _END),
    ("crash", (3, 9), _ANY, _ABOVE),
]


def known_defect(variant: str, interpreter: Interpreter) -> str | None:
    """Why this variant is not right on that interpreter, if that is known."""
    for name, oldest, newest, reason in _DEFECTS:
        if name == variant and oldest <= interpreter.numbers <= newest:
            return reason
    return None
