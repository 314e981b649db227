"""What the program said that it was doing, up to the crash."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.text import Text

from lastwords.cli.render.clean import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis

__all__ = ["breadcrumb_lines"]

_SHOWN = 30
_NS_PER_S = 1_000_000_000


def breadcrumb_lines(analysis: Analysis) -> Iterator[Text]:
    """A line for each of the newest ones, the newest last."""
    found = analysis.lastwords.breadcrumbs if analysis.lastwords else None
    if not isinstance(found, list):
        return
    if len(found) > _SHOWN:
        yield Text(f"  {len(found) - _SHOWN} older ones: --json", style="dim")
    for entry in found[-_SHOWN:]:
        yield Text(f"  {clean(_line(entry))}")


def _line(entry: object) -> str:
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else json.dumps(entry)
    rest = dict(entry)
    words = [_time(rest), rest.pop("level", None), rest.pop("category", None)]
    words.append(rest.pop("message", None) or rest.pop("text", None))
    left = json.dumps(rest, ensure_ascii=False) if rest else None
    return "  ".join(str(word) for word in [*words, left] if word)


def _time(entry: dict[str, object]) -> str | None:
    """The time of day in UTC; of a clock that is no calendar's, as it stands."""
    value = entry.pop("time_ns", None)
    if not isinstance(value, int):
        time = entry.pop("time", None)
        return time if isinstance(time, str) else None
    try:
        time = datetime.fromtimestamp(value / _NS_PER_S, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return str(value)
    return time.strftime("%H:%M:%S.%f")[:-3]
