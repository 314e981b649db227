"""The operating system is named once."""

from __future__ import annotations

import pytest

from lastwords.report.analysis import system_name


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (
            ("Linux", "6.1.0 Linux 6.1.0-18-amd64 #1 SMP x86_64"),
            "Linux 6.1.0-18-amd64 #1 SMP x86_64",
        ),
        (("Windows NT", "10.0.22000 282"), "Windows NT 10.0.22000 282"),
        ((None, "6.1"), "6.1"),
        ((None, None), ""),
    ],
)
def test_a_release_that_is_said_twice_is_shown_once(
    parts: tuple[str | None, ...], name: str
) -> None:
    assert system_name(*parts) == name
