from __future__ import annotations

from dataclasses import replace

from lastwords.analyze import decode_analysis
from lastwords.cli.render.causes import cause_lines
from lastwords.cli.render.options import TextOptions
from lastwords.cli.render.text import analysis_lines
from lastwords.report.analysis import (
    Analysis,
    Confidence,
    CrashInfo,
    Exploitability,
    Finding,
    Rating,
)

NULL = Finding(
    code="null_pointer",
    title="Read through a null pointer, offset 0x18",
    confidence=Confidence.HIGH,
    evidence=("rdi is 0, and the base of the address", "the address is 0x18"),
)
NONE = Exploitability(rating=Rating.NONE, reasons=("a read of 0x18: a null pointer",))


def crashed(*findings: Finding, exploitability: Exploitability | None = NONE) -> Analysis:
    info = CrashInfo(type="SIGSEGV", findings=findings, exploitability=exploitability)
    return Analysis(crash_info=info)


def shown(analysis: Analysis) -> list[str]:
    return [line.plain for line in cause_lines(analysis)]


def test_a_cause_stands_with_its_evidence_and_the_rating_with_its_reasons() -> None:
    assert shown(crashed(NULL)) == [
        "  Read through a null pointer, offset 0x18  (sure)",
        "    rdi is 0, and the base of the address",
        "    the address is 0x18",
        "  Exploitability none",
        "    a read of 0x18: a null pointer",
    ]


def test_what_is_not_known_is_not_shown() -> None:
    assert shown(Analysis()) == []
    assert shown(crashed(exploitability=None)) == []
    assert shown(crashed(exploitability=Exploitability())) == []
    unsure = replace(NULL, title=None, confidence=Confidence.UNKNOWN, evidence=())
    assert shown(crashed(unsure, exploitability=None)) == ["  null_pointer  (not known how sure)"]


def test_many_causes_and_much_evidence_are_cut_and_counted() -> None:
    long = replace(NULL, evidence=tuple(f"line {n}" for n in range(10)))
    lines = shown(crashed(*[long] * 9, exploitability=None))
    assert lines[-1] == "  1 more: --json"
    assert lines[9] == "    2 more: --json"


def test_text_of_a_dump_cannot_move_the_cursor() -> None:
    lines = shown(crashed(replace(NULL, title="a\x1b[2J", evidence=("b\nc",))))
    assert lines[:2] == ["  a�[2J  (sure)", "    b�c"]


def test_the_page_has_causes_before_the_stack() -> None:
    lines = [line.plain for line in analysis_lines(crashed(NULL), TextOptions())]
    assert "Likely causes" in lines
    heading = lines.index("Likely causes")
    assert lines[heading + 1].startswith("  Read through a null pointer")


def test_confidences_and_ratings_of_the_future_are_read_as_unknown() -> None:
    document = b"""{"crash_info": {"access": "read",
        "findings": [{"code": "new", "confidence": "certain", "evidence": ["a"]}],
        "exploitability": {"rating": "certain", "reasons": []}}}"""
    info = decode_analysis(document).crash_info
    assert info is not None
    assert info.access == "read"
    assert info.findings[0].confidence is Confidence.UNKNOWN
    assert info.exploitability is not None
    assert info.exploitability.rating is Rating.NOT_ANALYZED
