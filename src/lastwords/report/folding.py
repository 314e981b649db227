"""Repeated rounds of frames in a stack, so that a recursion is shown once.

Works on keys: what makes two frames the same for a reader (function and module, not the line).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

__all__ = ["Fold", "fold_words", "folds"]

_MAX_ROUND = 64
"""Frames of one round; functions that call each other in longer rounds are shown as they are."""
_MIN_HIDDEN = 4
"""Fewer frames are shown rather than a line that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Frames `start` to `end` (not included) are rounds of `length` frames; the first is shown.

    `omitted`: frames in the middle of them that the document does not hold.
    """

    start: int
    length: int
    end: int
    omitted: int = 0

    @property
    def rounds(self) -> int:
        """How often the round was run; a part of a round at the end does not count."""
        return (self.end - self.start + self.omitted) // self.length

    @property
    def hidden(self) -> range:
        """The frames that are not shown."""
        return range(self.start + self.length, self.end)


def folds(keys: Sequence[Hashable], gaps: Mapping[int, int] | None = None) -> list[Fold]:
    """Find what repeats, in the order of the stack.

    Of several rounds that begin at one frame the one that covers most frames counts, of those the
    shortest. The same rounds on both sides of a gap are one fold.

    Args:
        keys: One for each frame.
        gaps: How many frames are left out before the frame of this index.
    """
    gaps = gaps or {}
    borders = [0, *sorted(index for index in gaps if 0 < index < len(keys)), len(keys)]
    numbers: dict[Hashable, int] = {}
    ids = [numbers.setdefault(key, len(numbers)) for key in keys]
    found: list[Fold] = []
    for low, high in pairwise(borders):
        part = [
            replace(fold, start=fold.start + low, end=fold.end + low)
            for fold in _folds_of(ids[low:high])
        ]
        if found and part and (joined := _joined(ids, found[-1], part[0], low, gaps.get(low, 0))):
            found[-1:] = [joined]
            part = part[1:]
        found.extend(part)
    return found


def fold_words(fold: Fold, first: int, last: int) -> str:
    """Say what is hidden; `first` and `last` are the numbers that the page gives the frames."""
    about = "about " if fold.omitted else ""
    omitted = f", and {fold.omitted:,} left out between them" if fold.omitted else ""
    return f"… repeated {about}{fold.rounds:,} times (frames {first:,}\N{EN DASH}{last:,}{omitted})"


def _folds_of(ids: list[int]) -> list[Fold]:
    found = []
    position = 0
    while position < len(ids):
        best = None
        for length in range(1, min(_MAX_ROUND, (len(ids) - position) // 2) + 1):
            if ids[position] != ids[position + length]:
                continue
            end = _end_of_rounds(ids, position, length)
            is_enough = end - position - length >= _MIN_HIDDEN
            if is_enough and (best is None or end > best.end):
                best = Fold(start=position, length=length, end=end)
        if best is None:
            position += 1
        else:
            found.append(best)
            position = best.end
    return found


def _end_of_rounds(ids: list[int], start: int, length: int) -> int:
    """Where whole rounds that begin at `start` end."""
    rounds = ids[start : start + length]
    end = start + length
    while ids[end : end + length] == rounds:
        end += length
    return end


def _joined(ids: list[int], before: Fold, after: Fold, gap: int, omitted: int) -> Fold | None:
    """One fold of two that are the same round, cut anywhere by the gap before frame `gap`."""
    is_same = before.length == after.length and _is_rotation(
        ids[before.start : before.start + before.length],
        ids[after.start : after.start + after.length],
    )
    is_close = gap - before.end < before.length and after.start - gap < after.length
    members = set(ids[before.start : before.start + before.length])
    if not is_same or not is_close or not members.issuperset(ids[before.end : after.start]):
        return None
    return replace(before, end=after.end, omitted=before.omitted + omitted)


def _is_rotation(one: list[int], other: list[int]) -> bool:
    doubled = one + one
    return any(doubled[shift : shift + len(one)] == other for shift in range(len(one)))
