"""How values are written on pages: times, sizes, counts, small charts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FILTERS", "ago", "day_labels", "size", "sparkline", "utc"]

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def utc(value: datetime | None) -> str:
    """Return a time as `2026-11-20 18:03:11 UTC`; "unknown" for `None`."""
    if value is None:
        return "unknown"
    return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(value: datetime) -> str:
    """Return a time as RFC 3339 in UTC, for `datetime` attributes and JSON."""
    text = value.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """Return the distance of a time in the past, in its largest unit."""
    if value is None:
        return "unknown"
    seconds = ((now or datetime.now(timezone.utc)) - value).total_seconds()
    for name, length in _UNITS:
        count = int(seconds // length)
        if count >= 1:
            return f"{count:,} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def size(size_bytes: int) -> str:
    """Return a size in bytes or binary units with one decimal."""
    if size_bytes < 1024:
        return f"{size_bytes} bytes"
    value = size_bytes / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:,.1f} {unit}"


def day_labels(count: int, now: datetime | None = None) -> list[str]:
    """Return the last `count` days (UTC) as `2026-11-20`, today last."""
    today = (now or datetime.now(timezone.utc)).astimezone(timezone.utc).date()
    return [(today - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def sparkline(days: Sequence[int], width: int = 112, height: int = 24) -> Markup:
    """Draw reports per day as an SVG bar chart that needs no script and no style.

    The highest day has the full height; a day with reports is never flat. The text for screen
    readers says the same in words.
    """
    highest = max([*days, 1])
    step = width / max(len(days), 1)
    bars = []
    for index, count in enumerate(days):
        tall = max(round((height - 2) * count / highest, 1), 2.0) if count else 1.0
        kind = "bar" if count else "bar none"
        bars.append(
            f'<rect class="{kind}" x="{index * step:.1f}" y="{height - tall:.1f}" '
            f'width="{step - 1:.1f}" height="{tall:.1f}"/>'
        )
    total = sum(days)
    today = days[-1] if days else 0
    label = f"{total} {'report' if total == 1 else 'reports'} in {len(days)} days, {today} today"
    return Markup(  # noqa: S704  (numbers only)
        f'<svg class="spark" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{label}</title>{"".join(bars)}</svg>'
    )


FILTERS = {"ago": ago, "utc": utc, "iso": iso, "size": size, "sparkline": sparkline}
"""Name in templates → function."""
