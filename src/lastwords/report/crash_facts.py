"""What an analysis concludes of a crash: likely causes, and whether an attacker could use it.

Format: `crash_info` in `docs/formats/analysis.md`. As in `lastwords.report.analysis` every field
may be missing: absent is `None`, or empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Confidence", "Exploitability", "Finding", "Rating"]


class Confidence(str, Enum):
    """How sure a finding is: `high` where the facts say it themselves, `low` for a hint."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> Confidence:  # noqa: ARG003  (the protocol's signature)
        return cls.UNKNOWN

    @property
    def words(self) -> str:
        """How a person says it."""
        return _CONFIDENCE_WORDS[self]


_CONFIDENCE_WORDS = {
    Confidence.HIGH: "sure",
    Confidence.MEDIUM: "likely",
    Confidence.LOW: "perhaps",
    Confidence.UNKNOWN: "not known how sure",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A likely cause: a stable `code`, a sentence, and what a person can check it by."""

    code: str | None = None
    title: str | None = None
    confidence: Confidence = Confidence.UNKNOWN
    evidence: tuple[str, ...] = ()


class Rating(str, Enum):
    """Breakpad's scale: memory corruption that can be used is `high`."""

    HIGH = "high"
    INTERESTING = "interesting"
    LOW = "low"
    NONE = "none"
    NOT_ANALYZED = "not_analyzed"

    @classmethod
    def _missing_(cls, value: object) -> Rating:  # noqa: ARG003  (as above)
        return cls.NOT_ANALYZED

    @property
    def words(self) -> str | None:
        """What it means to a person; `None` when the crash was not rated."""
        return _RATING_WORDS.get(self)


_RATING_WORDS = {
    Rating.HIGH: "high: memory corruption that an attacker can probably use",
    Rating.INTERESTING: "interesting: memory may be corrupted in a way that can be used",
    Rating.LOW: "low: memory is not corrupted directly",
    Rating.NONE: "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploitability:
    """The rating of a crash, and the facts that led to it."""

    rating: Rating = Rating.NOT_ANALYZED
    reasons: tuple[str, ...] = ()
