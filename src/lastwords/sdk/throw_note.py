"""The note that a Python exception gets when a C++ exception has become it (PEP 678)."""

from __future__ import annotations

__all__ = ["ThrowNote"]


class ThrowNote(str):
    """Text for a traceback, with the same facts for a report.

    Pickled and copied it is a plain `str`, so that a process without lastwords can read it.
    """

    throw: dict[str, object]
    """`type`, `what` (or `None`) and `frames`, innermost first; set by `_native`."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str.__str__(self),)
