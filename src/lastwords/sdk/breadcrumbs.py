"""Breadcrumbs: what happened before a crash, in the application's words."""

from __future__ import annotations

import time

from lastwords.report.json_text import json_text
from lastwords.report.scrub import scrub_text, scrub_value
from lastwords.sdk import native

__all__ = ["LEVELS", "MAX_BREADCRUMBS", "breadcrumb", "current_breadcrumbs", "push_breadcrumbs"]

MAX_BREADCRUMBS = 100
LEVELS = ("debug", "info", "warning", "error", "fatal")
_MAX_MESSAGE = 512
_MAX_CATEGORY = 64
_MAX_DATA = 416
_MAX_FIELDS = 32
_CUT_MARK = "…[cut]"

_Crumb = tuple[int, str, str, str, dict[str, object]]
"""Time in ns, message, category, level, data."""


class _Ring:
    """The last breadcrumbs of this process, oldest first."""

    def __init__(self) -> None:
        self.crumbs: list[_Crumb] = []
        self.waiting: list[_Crumb] = []
        """What the native part has not got, because it was not armed yet."""

    def add(self, crumb: _Crumb) -> None:
        _append(self.crumbs, crumb)
        if not native.add_breadcrumb(_native_form(crumb)):
            _append(self.waiting, crumb)


def _append(crumbs: list[_Crumb], crumb: _Crumb) -> None:
    crumbs.append(crumb)
    if len(crumbs) > MAX_BREADCRUMBS:
        del crumbs[: len(crumbs) - MAX_BREADCRUMBS]


_ring = _Ring()


def breadcrumb(
    message: str, category: str | None = None, level: str = "info", **data: object
) -> None:
    """Keep what happened: the last 100 of these are in every report of this process.

    A few microseconds, bounded memory, no file is written; before `install()` too. Secrets are
    scrubbed (by key and by what a value looks like) before anything is kept.

    Args:
        message: What happened; cut at 512 bytes of UTF-8.
        category: What it has to do with, such as `net`; cut at 64 bytes.
        level: `debug`, `info`, `warning`, `error` or `fatal`; anything else counts as `info`.
        **data: Text, numbers, booleans; other values by their type's name. At most 416 bytes of
            JSON, else all of them are left out and the breadcrumb is marked.

    Never raises.
    """
    try:
        _ring.add(
            (
                time.time_ns(),
                _cut(scrub_text(_text(message)), _MAX_MESSAGE),
                _cut(scrub_text(_text(category)), _MAX_CATEGORY) if category else "",
                level if level in LEVELS else "info",
                _plain(data) if data else {},
            )
        )
    except Exception:  # noqa: BLE001  (SDK border: a report lacks one line)
        return


def _text(value: object) -> str:
    """Text as it is; of anything else only the type: its `__str__` is foreign code."""
    if not isinstance(value, str):
        return type(value).__name__
    return str.__str__(value)[: 4 * _MAX_MESSAGE]


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8; half surrogate pairs become question marks."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return data.decode()
    room = most - len(_CUT_MARK.encode())
    return data[:room].decode("utf-8", "ignore") + _CUT_MARK


def _plain(data: dict[str, object]) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in list(data.items())[:_MAX_FIELDS]:
        name = _cut(key, _MAX_CATEGORY)
        kept[name] = None if value is None else scrub_value(name, _simple(value))
    return kept


def _simple(value: object) -> str | int | float | bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        number = int(value)
        return number if -(2**63) <= number < 2**63 else "int"
    if isinstance(value, float):
        real = float(value)
        return real if real - real == 0 else float.__repr__(real)
    return _cut(_text(value), _MAX_DATA)


def _native_form(crumb: _Crumb) -> tuple[int, str, str, str, str]:
    time_ns, message, category, level, data = crumb
    return time_ns, message, category, level, json_text(data) if data else ""


def push_breadcrumbs() -> None:
    """Hand the native part, after it was armed, what it has not got yet."""
    waiting, _ring.waiting = _ring.waiting, []
    for crumb in waiting:
        native.add_breadcrumb(_native_form(crumb))


def current_breadcrumbs() -> list[dict[str, object]]:
    """The breadcrumbs as they stand in `report.json`, oldest first."""
    from lastwords.sdk.python_report import timestamp

    return [
        {
            "time": timestamp(time_ns / 1e9),
            "level": level,
            "category": category or None,
            "message": message,
            "data": data,
        }
        for time_ns, message, category, level, data in list(_ring.crumbs)
    ]
