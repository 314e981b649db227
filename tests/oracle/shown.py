"""The stack of a thread as lastwords shows it, and our own functions in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steps import Frame

__all__ = ["Native", "Shown", "first_missing", "key_of", "names_of", "own_of"]

_EXACT = {"context", "cfi", "frame_pointer", "prewalked"}
_SIGNAL_FRAMES = {"__restore_rt"}
_OWN = re.compile(r"(?:[^(<]*?::)?oracle_(\w+)")
_CYTHON = re.compile(r"__pyx_(?:p[wf]|f|gb)_\w*oracle_(\w+)")
_SUFFIX = re.compile(r"\.(?:isra|part|constprop|cold|lto_priv|llvm)\b.*|(?<=\w)\(.*")
_IN_C = ("recurse_", "type_")
"""Functions that call themselves: each frame counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A native frame."""

    names: tuple[str, ...]
    """Inlined functions first."""
    is_plumbing: bool


class Shown:
    """The frames of one thread as lastwords shows them, split at the Python frames."""

    def __init__(self, thread: dict[str, Any] | None, *, is_cut: bool) -> None:
        self.python: list[dict[str, Any]] = []
        self.gaps: list[list[Native]] = [[]]
        self.is_unsure: list[bool] = [False]
        """Of each gap: whether a frame in it was guessed, or could not be walked."""
        self.addresses: list[tuple[int, int]] = []
        """Return addresses of all native frames, evaluation frames too, and the gap of each."""
        self._is_interrupted = False
        for frame in thread["frames"] if thread else []:
            if frame.get("unknown_frames") or frame.get("omitted_frames"):
                self.is_unsure[-1] = True
            if frame["kind"] == "python":
                self._add_python(frame)
            else:
                self._add_native(frame)
        # Behind the last frame nothing can carry a mark, so the thread does.
        self.is_unsure[-1] |= is_cut or (thread or {}).get("is_whole") is not True

    @property
    def unplaced(self) -> int:
        return sum(not _is_placed(frame) for frame in self.python)

    def groups(self) -> list[list[int]]:
        """The gaps, those together between which no Python frame has its place."""
        groups = [[0]]
        for index, frame in enumerate(self.python):
            if _is_placed(frame):
                groups.append([])
            groups[-1].append(index + 1)
        return groups

    def is_in_group(self, gap: int) -> bool:
        """Whether a Python frame without a place is beside the gap."""
        return any(gap in group and len(group) > 1 for group in self.groups())

    def _add_python(self, frame: dict[str, Any]) -> None:
        self.python.append(frame)
        self.gaps.append([])
        self.is_unsure.append(False)
        evaluation = frame.get("evaluation")
        if evaluation:
            self._add_address(evaluation)
            self.is_unsure[-1] |= evaluation["trust"] not in _EXACT

    def _add_native(self, frame: dict[str, Any]) -> None:
        inlines = [inline["function"] or "" for inline in frame.get("inlines") or []]
        native = Native(
            names=(*inlines, frame["function"] or ""),
            is_plumbing=bool(frame.get("plumbing")),
        )
        self.gaps[-1].append(native)
        self.is_unsure[-1] |= frame["trust"] not in _EXACT
        self._add_address(frame)

    def _add_address(self, frame: dict[str, Any]) -> None:
        """A caller's address is that of its call, before the return address; one that a signal
        interrupted has no call."""
        address = int(frame["offset"], 16)
        self.addresses.append((address + (not self._is_interrupted), len(self.gaps) - 1))
        self._is_interrupted = frame["function"] in _SIGNAL_FRAMES


def _is_placed(frame: dict[str, Any]) -> bool:
    return bool(frame["python"].get("placement") == "anchored")


def names_of(gap: Sequence[Native]) -> list[str]:
    """How they are written in messages."""
    return [" < ".join(native.names) for native in gap]


def own_of(gap: Sequence[Native]) -> list[tuple[str, Native]]:
    """The keys of our own functions, newest first; parts of one function count once.

    Parts are what is inlined into it, and what C++ and Cython call around it.
    """
    found: list[tuple[str, Native]] = []
    newer: set[str] = set()
    for native in gap:
        keys = dict.fromkeys(filter(None, map(key_of, native.names)))
        found += [(key, native) for key in keys if key not in newer]
        newer = {key for key in keys if not key.startswith(_IN_C)}
    return found


def key_of(name: str) -> str:
    """`call_03` of a function of ours, however its language spells it; else nothing."""
    if name.startswith("__pyx_gb_"):  # the body of a generator has no name
        return "cybody"
    if match := _CYTHON.match(name):
        # Wrappers of the methods of a class are numbered: `Ring_00_1run`.
        return re.sub(r"(?<=_\d\d)_\d+(?=[a-z_])", "_", match[1])
    match = _OWN.match(name)
    return match[1] if match else ""


def first_missing(expected: Sequence[Frame], gap: Sequence[Native]) -> str | None:
    """The first of the expected functions that does not follow those before it."""
    names = iter([name for native in gap for name in native.names])
    for frame in expected:
        if not any(_is_named(frame, name) for name in names):
            return frame.text
    return None


def _is_named(frame: Frame, name: str) -> bool:
    if frame.word != "lib":
        return key_of(name) == frame.text
    return bool(re.fullmatch(frame.text, _SUFFIX.sub("", name)))
