"""What a step of a call script is: its source text, and the frames that it contributes.

A script is a chain of steps. The step of level 7 defines a function of no arguments, `f7`, which
leads to a call of `f8`, the next step's. In the texts of a kind stand `$here` for its own function,
`$next` for the next one, `$n` for the level, `$c` for the copy of a native function, `$module` for
a module of its own, `$script` for the script's.

The frames of a kind are written oldest first, one a line:

| word | a frame |
|---|---|
| `py QUALNAME` | of Python, in the script |
| `mod QUALNAME` | of Python, in the step's own module |
| `text QUALNAME` | of Python, in text compiled under the name `<text $n>` |
| `std PART` | of Python: one or more whose file's path contains PART |
| `own KEY` | native, of our own: exactly these and no others |
| `inl KEY` | the same, inlined: only debug information names it |
| `lib REGEX` | native, of the interpreter or a library: at least these, where it has names |
| `cut` | here a greenlet begins: the Python frames before it are not linked |
| `inner` | of Python: those that start a script's rest in an interpreter of its own |

`py<3.12 …` and `lib>=3.11 …` are frames of those versions only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COPIES", "Frame", "Kind", "Step", "Version", "frames_of", "table"]

Version = tuple[int, int]
COPIES = {"steps": 8, "pybind11": 4, "cython": 4, "odd": 4}
"""How many copies of each native step there are, by the module that holds them."""

WORDS = ("py", "mod", "text", "std", "own", "inl", "lib", "cut", "inner")
_LINE = re.compile(r"(?P<word>[a-z]+)(?:(?P<test><|>=)3\.(?P<minor>\d+))?(?: (?P<text>.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One declared frame."""

    word: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of step."""

    name: str
    source: str
    frames: str
    module: str = ""
    """Text of a module that the step imports."""
    since: Version = (3, 9)
    once: str = ""
    """Of the kinds with the same word here only one step may stand in a script."""
    copies: str = "steps"
    needs: str = ""
    """Name of what has to be there beside the interpreter; `asyncio` and
    `ctypes` always are."""
    is_exact: bool = True
    """Whether the C library's unwinder can walk through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A kind at a level of a script."""

    kind: Kind
    level: int
    script: str

    @property
    def module_name(self) -> str:
        """Name of the module that the step imports."""
        return f"{self.script}_module_{self.level}"

    def source(self) -> str:
        return self._fill(self.kind.source)

    def module(self) -> str:
        return self._fill(self.kind.module)

    def frames(self, version: Version) -> list[Frame]:
        return frames_of(self._fill(self.kind.frames), version)

    def _fill(self, text: str) -> str:
        copy = self.level % COPIES[self.kind.copies]
        return Template(text).substitute(
            here=f"f{self.level}", next=f"f{self.level + 1}", n=self.level, c=f"{copy:02}",
            module=self.module_name, script=self.script,
        )  # fmt: skip


def table(text: str, make: Callable[[str, str, str], Kind]) -> list[Kind]:
    """Kinds written as a table: a line `NAME: EXPRESSION`, then one of frames, divided by ` / `.

    A frame without one of the words above is of the interpreter (`lib`); ` *4` behind one says that
    it is there four times.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    rows = zip(lines[::2], lines[1::2], strict=True)
    kinds = []
    for head, frames in rows:
        words, _, expression = head.partition(": ")
        kinds.append(make(words, expression, _spelled_out(frames)))
    return kinds


def _spelled_out(frames: str) -> str:
    lines = []
    for part in frames.split(" / "):
        frame, _, times = part.partition(" *")
        has_word = re.match(rf"({'|'.join(WORDS)})[ <>]", frame)
        lines += [frame if has_word else f"lib {frame}"] * int(times or 1)
    return "\n".join(lines)


def frames_of(text: str, version: Version) -> list[Frame]:
    """The frames that `text` declares for an interpreter of `version`, oldest first."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LINE.fullmatch(line)
        assert match, f"not a frame: {line}"
        if match["test"]:
            minor = int(match["minor"])
            is_there = version[1] < minor if match["test"] == "<" else version[1] >= minor
            if not is_there:
                continue
        found.append(Frame(word=match["word"], text=match["text"] or ""))
    return found
