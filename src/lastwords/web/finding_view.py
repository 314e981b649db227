"""The likely causes of a crash, each with what a person can check it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.report.crash_facts import Confidence, Rating
from lastwords.web.json_view import mapping, mappings, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FindingView", "findings"]

_MAX_FINDINGS = 12
_MAX_EVIDENCE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A cause, how sure it is, and its evidence."""

    title: str
    certainty: str
    evidence: tuple[str, ...]


def findings(analysis: Mapping[str, object]) -> tuple[FindingView, ...]:
    """Return the likely causes, the surest first, and the exploitability as the last."""
    crash = mapping(analysis.get("crash_info"))
    found = [
        FindingView(
            title=text(one.get("title")) or text(one.get("code")) or "not named",
            certainty=Confidence(one.get("confidence")).words,
            evidence=_texts(one.get("evidence")),
        )
        for one in mappings(crash.get("findings"))[:_MAX_FINDINGS]
    ]
    rated = mapping(crash.get("exploitability"))
    words = Rating(rated.get("rating")).words if rated else None
    if words is not None:
        title = f"Exploitability {words}"
        reasons = _texts(rated.get("reasons"))
        found.append(FindingView(title=title, certainty="", evidence=reasons))
    return tuple(found)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(filter(None, map(text, value[:_MAX_EVIDENCE])))
