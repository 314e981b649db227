"""Compares a true stack with the one that lastwords shows, frame by frame.

A difference is marked when lastwords itself says there that it is not sure: native frames before
were not walked (`unknown_frames`), a frame was guessed (`trust`), a Python frame has no place
(`placement`), frames were left out. A difference without such a mark is the worst that can happen:
a stack that looks right and is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from steps import Frame
    from truth import PythonFrame, Truth

__all__ = ["Difference", "Judgement", "Verdict", "judge"]

_EXACT = {"context", "cfi", "frame_pointer", "prewalked"}
_OWN = re.compile(r"(?:[^(<]*?::)?oracle_(\w+)")
_CYTHON = re.compile(r"__pyx_(?:p[wf]|f|gb)_\w*oracle_(\w+)")
_SUFFIX = re.compile(r"\.(?:isra|part|constprop|cold|lto_priv|llvm)\b.*|(?<=\w)\(.*")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Native:
    names: tuple[str, ...]
    """Inlined functions first."""
    address: int
    is_sure: bool
    is_plumbing: bool


class _Shown:
    """The frames of one thread as lastwords shows them, split at the Python frames."""

    def __init__(self, thread: dict[str, Any]) -> None:
        self.python: list[dict[str, Any]] = []
        self.gaps: list[list[_Native]] = [[]]
        self.marks: list[bool] = [False]
        self.addresses: list[tuple[int, int]] = []
        """Of all native frames, evaluation frames too, and the gap behind each."""
        for frame in thread["frames"]:
            if frame.get("unknown_frames") or frame.get("omitted_frames"):
                self.marks[-1] = True
            if frame["kind"] == "python":
                self._add_python(frame)
            else:
                self._add_native(frame)

    def _add_python(self, frame: dict[str, Any]) -> None:
        is_placed = frame["python"].get("placement") == "anchored"
        self.marks[-1] |= not is_placed
        self.python.append(frame)
        self.gaps.append([])
        self.marks.append(not is_placed)
        evaluation = frame.get("evaluation")
        if evaluation:
            self.addresses.append((int(evaluation["offset"], 16), len(self.gaps) - 1))
            self.marks[-1] |= evaluation["trust"] not in _EXACT

    def _add_native(self, frame: dict[str, Any]) -> None:
        inlines = [inline["function"] or "" for inline in frame.get("inlines") or []]
        native = _Native(
            names=(*inlines, frame["function"] or ""),
            address=int(frame["offset"], 16),
            is_sure=frame["trust"] in _EXACT,
            is_plumbing=bool(frame.get("plumbing")),
        )
        self.gaps[-1].append(native)
        self.marks[-1] |= not native.is_sure
        self.addresses.append((native.address, len(self.gaps) - 1))


def judge(truth: Truth, thread: dict[str, Any] | None, *, has_names: bool) -> Judgement:
    """Compare one thread.

    Args:
        truth: What it is.
        thread: What lastwords shows; `None`: it does not show the thread at all.
        has_names: Whether the interpreter's own functions have names.
    """
    if thread is None:
        missing = Difference(text="the thread is missing", is_marked=False)
        return Judgement(truth=truth, differences=(missing,))
    shown = _Shown(thread)
    differences = list(_python_differences(truth, shown, thread))
    if not differences:
        differences += _gap_differences(truth, shown, has_names=has_names)
        differences += _address_differences(truth, shown)
    return Judgement(truth=truth, differences=tuple(differences))


def _python_differences(
    truth: Truth, shown: _Shown, thread: dict[str, Any]
) -> Iterator[Difference]:
    told = thread.get("python") or {}
    is_marked = bool(told.get("is_cut")) or any(frame.get("omitted_frames") for frame in shown.python)
    true = [_row(frame) for frame in truth.python]
    seen = [_row_shown(frame["python"], truth.python) for frame in shown.python]
    if true == seen:
        return
    matcher = SequenceMatcher(None, true, seen, autojunk=False)
    for kind, start, end, seen_start, seen_end in matcher.get_opcodes():
        if kind != "equal":
            text = f"Python frame {start}: expected {true[start:end]}, got {seen[seen_start:seen_end]}"
            partial = [frame["python"].get("is_partial") for frame in shown.python[seen_start:seen_end]]
            yield Difference(text=text, is_marked=is_marked or (bool(partial) and all(partial)))


def _row(frame: PythonFrame) -> tuple[Any, ...]:
    return (
        frame.qualname or frame.name, frame.file, frame.line, frame.end_line, frame.column,
        frame.end_column,
    )  # fmt: skip


def _row_shown(shown: dict[str, Any], true: Sequence[PythonFrame]) -> tuple[Any, ...]:
    has_qualnames = any(frame.qualname for frame in true)
    name = shown["qualname"] if has_qualnames else shown["name"]
    has_columns = has_qualnames
    end = [shown["end_line"], shown["column"], shown["end_column"]] if has_columns else [None] * 3
    return (name, shown["file"], shown["line"], *end)


def _gap_differences(truth: Truth, shown: _Shown, *, has_names: bool) -> Iterator[Difference]:
    for index, (expected, gap) in enumerate(zip(truth.gaps, shown.gaps, strict=True)):
        is_marked = shown.marks[index]
        where = _where(truth, index)
        keys = [frame.text for frame in expected if frame.word == "own"]
        found = [key for key, _ in _own(gap)]
        if keys != found:
            text = f"{where}: own native frames {keys} expected, got {found} among {_names(gap)}"
            yield Difference(text=text, is_marked=is_marked)
        elif folded := [key for key, native in _own(gap) if native.is_plumbing]:
            yield Difference(text=f"{where}: {folded} are called plumbing", is_marked=False)
        elif has_names and (missing := _first_missing(expected, gap)):
            text = f"{where}: no {missing} in its place among {_names(gap)}"
            yield Difference(text=text, is_marked=is_marked)


def _where(truth: Truth, gap: int) -> str:
    newer = truth.python[gap - 1].name if gap else "the end"
    older = truth.python[gap].name if gap < len(truth.python) else "the beginning"
    return f"between {newer} and {older} (gap {gap})"


def _names(gap: Sequence[_Native]) -> list[str]:
    return [" < ".join(native.names) for native in gap]


def _own(gap: Sequence[_Native]) -> list[tuple[str, _Native]]:
    """The keys of our own functions, newest first; parts of one function count once."""
    found: list[tuple[str, _Native]] = []
    for native in gap:
        for name in native.names:
            key = _key(name)
            is_part = found and found[-1][0] == key and not key.endswith("_round")
            if key and not is_part:
                found.append((key, native))
    return found


def _key(name: str) -> str:
    if name.startswith("__pyx_gb_"):  # the body of a generator has no name
        return "cybody"
    if match := _CYTHON.match(name):
        # Wrappers of the methods of a class are numbered: `Ring_00_1run`.
        return re.sub(r"(?<=_\d\d)_\d+(?=[a-z_])", "_", match[1])
    match = _OWN.match(name)
    return match[1] if match else ""


def _first_missing(expected: Sequence[Frame], gap: Sequence[_Native]) -> str | None:
    names = iter([name for native in gap for name in native.names])
    for frame in expected:
        if not any(_is_named(frame, name) for name in names):
            return frame.text
    return None


def _is_named(frame: Frame, name: str) -> bool:
    if frame.word == "own":
        return _key(name) == frame.text
    return bool(re.fullmatch(frame.text, _SUFFIX.sub("", name)))


def _address_differences(truth: Truth, shown: _Shown) -> Iterator[Difference]:
    """Differences between the native frames and those of the C library's unwinder."""
    stop = truth.gaps[0][-1].text
    at = next((i for i, native in enumerate(shown.gaps[0]) if any(_key(n) == stop for n in native.names)), None)
    if at is None:
        return  # told already
    # The address of a caller is that of its call, which is before the return address.
    seen = [address + 1 for address, _ in shown.addresses[at + 1 :]]
    places = [place for _, place in shown.addresses[at + 1 :]]
    true = list(truth.addresses[1:])
    if seen == true:
        return
    for kind, start, end, seen_start, seen_end in SequenceMatcher(
        None, true, seen, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            continue
        near = {*places[max(seen_start - 1, 0) : seen_end + 1]} or {len(shown.gaps) - 1}
        text = (
            f"native frames {start}: return addresses {[hex(a) for a in true[start:end]]} expected, "
            f"got {[hex(a) for a in seen[seen_start:seen_end]]}"
        )
        yield Difference(text=text, is_marked=any(shown.marks[place] for place in near))
