"""Compares a true stack with the one that lastwords shows, frame by frame.

A difference is marked when lastwords itself says there that it is not sure: native frames before
were not walked (`unknown_frames`), a frame was guessed (`trust`), a Python frame has no place
(`placement`), frames were left out. A difference without such a mark is the worst that can happen:
a stack that looks right and is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from typing import TYPE_CHECKING, Any

from shown import Shown, first_missing, key_of, names_of, own_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from truth import PythonFrame, Truth

__all__ = ["Difference", "Judgement", "Verdict", "judge"]

_CUTS = {"frames_cut", "stack_cut", "thread_stack_missing", "unwind_failed"}
"""Codes of soft errors."""


class Verdict(Enum):
    """What is said about one thread."""

    RIGHT = "right"
    MARKED = "marked uncertain"
    WRONG = "silently wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference between the truth and what is shown."""

    text: str
    is_marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The differences of one thread."""

    truth: Truth
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> Verdict:
        if not self.differences:
            return Verdict.RIGHT
        is_marked = all(difference.is_marked for difference in self.differences)
        return Verdict.MARKED if is_marked else Verdict.WRONG


def _is_stack_cut(document: dict[str, Any], thread_id: int) -> bool:
    """Whether it is said that a part of the thread's stack is missing."""
    return any(
        error["code"] in _CUTS and str(thread_id) in error["where"].split()
        for error in document["soft_errors"]
    )


def judge(
    truth: Truth,
    document: dict[str, Any],
    *,
    has_names: bool = True,
    has_inlines: bool = True,
    is_exact: bool = True,
) -> Judgement:
    """Compare one thread.

    Args:
        truth: What it is.
        document: What lastwords shows of the process.
        has_names: Whether the interpreter's own functions have names.
        has_inlines: Whether those have names that are inlined into our own.
        is_exact: Whether all of its return addresses are known.
    """
    threads = {thread["thread_id"]: thread for thread in document["threads"]}
    thread = threads.get(truth.thread_id)
    shown = Shown(thread, is_cut=_is_stack_cut(document, truth.thread_id))
    differences = list(_python_differences(truth, shown, document, thread))
    all_gaps = range(max(len(truth.gaps), len(shown.gaps)))
    groups = [list(all_gaps)] if differences else shown.groups()
    own = {"own", "inl"} if has_inlines else {"own"}
    differences += _native_differences(truth, shown, groups, has_names=has_names, own=own)
    differences += _address_differences(truth, shown, is_exact=is_exact and truth.is_exact)
    if shown.unplaced:
        text = f"{shown.unplaced} Python frames have no place"
        differences.append(Difference(text=text, is_marked=True))
    return Judgement(truth=truth, differences=tuple(differences))


def _python_differences(
    truth: Truth, shown: Shown, document: dict[str, Any], thread: dict[str, Any] | None
) -> Iterator[Difference]:
    true = [_row(frame) for frame in truth.python]
    is_precise = any(frame.qualname for frame in truth.python)
    seen = [_row_shown(frame["python"], is_precise=is_precise) for frame in shown.python]
    if true == seen:
        return
    is_marked = _is_python_partial(document, thread)
    for kind, start, end, seen_start, seen_end in _differing(true, seen):
        rows = f"expected {true[start:end]}, got {seen[seen_start:seen_end]}"
        partial = [frame["python"]["is_partial"] for frame in shown.python[seen_start:seen_end]]
        is_left_out = any(
            frame.get("omitted_frames") for frame in shown.python[seen_start : seen_end + 1]
        )
        yield Difference(
            text=f"Python frame {start}, {kind}: {rows}",
            is_marked=is_marked or is_left_out or (bool(partial) and all(partial)),
        )


def _is_python_partial(document: dict[str, Any], thread: dict[str, Any] | None) -> bool:
    """Whether it is said that Python frames are missing: of this thread, or at all."""
    if thread and (thread.get("python") or {}).get("is_cut"):
        return True
    codes = {error["code"] for error in document["soft_errors"]}
    return document.get("python") is None and "python_not_read" in codes


def _differing(true: Sequence[Any], seen: Sequence[Any]) -> list[tuple[str, int, int, int, int]]:
    codes = SequenceMatcher(None, true, seen, autojunk=False).get_opcodes()
    return [code for code in codes if code[0] != "equal"]


def _row(frame: PythonFrame) -> tuple[Any, ...]:
    name = frame.qualname or frame.name
    return (name, frame.file, frame.line, frame.end_line, frame.column, frame.end_column)


def _row_shown(shown: dict[str, Any], *, is_precise: bool) -> tuple[Any, ...]:
    """In the terms of the truth: before 3.11 the interpreter knows no qualnames and columns."""
    if is_precise:
        keys = ("qualname", "file", "line", "end_line", "column", "end_column")
        return tuple(shown[key] for key in keys)
    return (shown["name"], shown["file"], shown["line"], None, None, None)


def _native_differences(
    truth: Truth, shown: Shown, groups: Sequence[Sequence[int]], *, has_names: bool, own: set[str]
) -> Iterator[Difference]:
    for group in groups:
        first, end = group[0], group[-1] + 1
        expected = [frame for gap in truth.gaps[first:end] for frame in gap]
        natives = [native for gap in shown.gaps[first:end] for native in gap]
        # Together are the gaps between which Python frames have no place.
        is_unsure = any(shown.is_unsure[first:end])
        is_marked = is_unsure or (bool(shown.unplaced) and len(group) > 1)
        where = _where(truth, group)
        keys = [frame.text for frame in expected if frame.word in own]
        found = own_of(natives)
        if keys != [key for key, _ in found]:
            got = f"got {[key for key, _ in found]} among {names_of(natives)}"
            text = f"{where}: own native frames {keys} expected, {got}"
            yield Difference(text=text, is_marked=is_marked)
        elif folded := [key for key, native in found if native.is_plumbing]:
            yield Difference(text=f"{where}: {folded} are called plumbing", is_marked=False)
        elif has_names and (missing := first_missing(expected, natives)):
            text = f"{where}: no {missing} in its place among {names_of(natives)}"
            yield Difference(text=text, is_marked=is_marked)


def _where(truth: Truth, group: Sequence[int]) -> str:
    newer = truth.python[group[0] - 1].name if group[0] else "the end"
    older = truth.python[group[-1]].name if group[-1] < len(truth.python) else "the beginning"
    return f"between {newer} and {older}"


def _address_differences(truth: Truth, shown: Shown, *, is_exact: bool) -> Iterator[Difference]:
    """Differences between the native frames and those of the C library's unwinder.

    It begins in the function that stopped. Where not all addresses are known, the newest are.
    """
    if not truth.addresses:
        return
    stop = next(frame.text for frame in reversed(truth.gaps[0]) if frame.text.startswith("stop_"))
    newest = iter(enumerate(shown.gaps[0]))
    at = next((i for i, native in newest if any(key_of(n) == stop for n in native.names)), None)
    if at is None:
        return  # told already
    seen = [address for address, _ in shown.addresses[at + 1 :]]
    places = [gap for _, gap in shown.addresses[at + 1 :]]
    true = list(truth.addresses[1:])
    if not is_exact:
        seen = seen[: len(true)]
    for kind, start, end, seen_start, seen_end in _differing(true, seen):
        first = places[seen_start - 1] if seen_start else 0
        last = places[seen_end] if seen_end < len(places) else len(shown.gaps) - 1
        near = range(first, last + 1)
        yield Difference(
            text=f"native frames {start}, {kind}: expected are the return addresses "
            f"{_hex(true[start:end])}, got {_hex(seen[seen_start:seen_end])}",
            is_marked=any(shown.is_unsure[gap] or shown.is_in_group(gap) for gap in near),
        )


def _hex(addresses: Sequence[int]) -> list[str]:
    return [f"{address:#x}" for address in addresses]
