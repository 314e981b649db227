"""How times, sizes and small charts are written."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from lastwords.web.formatting import ago, day_labels, iso, size, sparkline, utc

NOW = datetime(2026, 11, 20, 0, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(seconds=-30), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(hours=23), "23 hours ago"),
        (timedelta(days=4000), "4,000 days ago"),
    ],
)
def test_distance_in_time(age, text):
    assert ago(NOW - age, NOW) == text


def test_unknown_time_is_said():
    assert ago(None) == utc(None) == "unknown"


def test_times_are_utc():
    local = datetime(2026, 11, 20, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert utc(local) == "2026-11-20 00:30:00 UTC"
    assert iso(local) == "2026-11-20T00:30:00.000Z"


def test_days_end_today():
    assert day_labels(3, NOW) == ["2026-11-18", "2026-11-19", "2026-11-20"]


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 40, "3,072.0 GiB"),
    ],
)
def test_size(size_bytes, text):
    assert size(size_bytes) == text


def heights(svg):
    return [float(one) for one in re.findall(r'<rect [^>]*?height="([\d.]+)"', svg)]


def test_chart_shows_the_highest_day_whole_and_no_day_as_none():
    few, none, many = heights(sparkline([1, 0, 1000], height=24))
    assert many == 22
    assert few == 2
    assert none == 1


def test_chart_of_nothing_is_no_error():
    assert "0 reports in 0 days" in sparkline([])
    assert "1 report in 2 days, 1 today" in sparkline([0, 1])
