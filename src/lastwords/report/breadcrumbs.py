"""Breadcrumbs in words: what the program said that it was doing, up to the crash."""

from __future__ import annotations

import json
from datetime import datetime, timezone

__all__ = ["breadcrumb_words"]

_NS_PER_S = 1_000_000_000


def breadcrumb_words(entry: object) -> tuple[str, str]:
    """Return the time of day (UTC; empty when not known) and the text of an entry of any shape.

    Level, category and message come first, then the data as `key=value`, anything else as JSON.
    """
    if not isinstance(entry, dict):
        return "", entry if isinstance(entry, str) else json.dumps(entry)
    rest = dict(entry)
    time = _time(rest)
    words = [rest.pop(key, None) for key in ("level", "category", "message", "text")]
    data = rest.get("data")
    if isinstance(data, dict):
        del rest["data"]
        words += [f"{key}={_value(value)}" for key, value in data.items()]
    words.append(json.dumps(rest, ensure_ascii=False) if rest else None)
    return time, "  ".join(str(word) for word in words if word)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _time(entry: dict[str, object]) -> str:
    """Take the time out of an entry; of a clock that is no calendar's, as it stands."""
    value = entry.pop("time_ns", None)
    if not isinstance(value, int) or isinstance(value, bool):
        time = entry.pop("time", None)
        return time if isinstance(time, str) else ""
    try:
        moment = datetime.fromtimestamp(value / _NS_PER_S, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return str(value)
    return moment.strftime("%H:%M:%S.%f")[:-3]
