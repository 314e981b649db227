"""docs/reference/collector.md lists every reason as the code has it."""

from __future__ import annotations

from pathlib import Path

from lastwords.collector import REASONS

PAGE = Path(__file__).parents[3] / "docs/reference/collector.md"


def test_every_reason_is_documented_as_it_is() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    expected = [f"| `{name}` | {status} | {why} |" for name, (status, why) in REASONS.items()]
    assert rows == sorted(expected)
