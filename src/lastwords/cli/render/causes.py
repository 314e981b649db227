"""The likely causes of a crash, each with what a person can check it by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis
    from lastwords.report.crash_facts import Exploitability, Finding

__all__ = ["cause_lines"]

_MAX_FINDINGS = 8
_MAX_EVIDENCE = 8


def cause_lines(analysis: Analysis) -> Iterator[Text]:
    """A line per cause, below it its evidence; then the exploitability."""
    info = analysis.crash_info
    if info is None:
        return
    for finding in info.findings[:_MAX_FINDINGS]:
        yield from _finding_lines(finding)
    if len(info.findings) > _MAX_FINDINGS:
        yield Text(f"  {len(info.findings) - _MAX_FINDINGS} more: --json", style="dim")
    if info.exploitability is not None:
        yield from _exploitability_lines(info.exploitability)


def _finding_lines(finding: Finding) -> Iterator[Text]:
    title = clean(finding.title or finding.code or "not named")
    yield Text(f"  {title}", style="bold").append(f"  ({finding.confidence.words})", style="dim")
    yield from _evidence_lines(finding.evidence)


def _exploitability_lines(exploitability: Exploitability) -> Iterator[Text]:
    words = exploitability.rating.words
    if words is None:
        return
    yield Text("  Exploitability ", style="dim").append(words)
    yield from _evidence_lines(exploitability.reasons)


def _evidence_lines(evidence: tuple[str, ...]) -> Iterator[Text]:
    for line in evidence[:_MAX_EVIDENCE]:
        yield Text(f"    {clean(line)}")
    if len(evidence) > _MAX_EVIDENCE:
        yield Text(f"    {len(evidence) - _MAX_EVIDENCE} more: --json", style="dim")
