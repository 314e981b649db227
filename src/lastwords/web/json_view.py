"""Reading foreign JSON documents: what is absent or of a wrong type reads as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["mapping", "mappings", "name", "number", "text"]

_MAX_TEXT = 2000
_MAX_NAME = 600


def mapping(value: object) -> Mapping[str, object]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Mapping[str, object]]:
    """Return the mappings of a list; of anything else, none."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [item for item in value if isinstance(item, Mapping)]


def text(value: object) -> str | None:
    """Return text, cut to 2,000 characters; numbers as text; `None` for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}…"


def name(value: object) -> str | None:
    """Return text as `text()` does, cut to 600 characters: there may be thousands on a page."""
    found = text(value)
    return found if found is None or len(found) <= _MAX_NAME else f"{found[:_MAX_NAME]}…"


def number(value: object) -> int | None:
    """Return an integer; `None` for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
