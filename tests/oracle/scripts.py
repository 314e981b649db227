"""Call scripts: random chains of steps, and their text."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import kinds_generators
import kinds_library
import kinds_native
import kinds_plain
import kinds_slots
from kinds_stops import HOLD, STOPS, Stop
from steps import Frame, Kind, Step, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["KINDS", "Script", "make_script", "once", "random_scripts", "usable_kinds"]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in [
        *kinds_plain.KINDS,
        *kinds_generators.KINDS,
        *kinds_slots.KINDS,
        *kinds_library.KINDS,
        *kinds_native.KINDS,
    ]
}
_HEADER = """\
import asyncio, atexit, bisect, collections, contextlib, contextvars, copy, ctypes, functools, heapq
import importlib, io, itertools, json, operator, os, pickle, re, sys, threading, weakref
"""
_SHALLOW, _DEEP, _MAIN = (1, 40), (41, 500), 40
_DEEP_SHARE = 0.04
_ODD_NAMES = ("", "", "", "", " with blanks", "_größe", "_很長的名字")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A chain of steps that ends in a stop."""

    name: str
    file: str
    steps: tuple[Step, ...]
    stop: Stop
    thread: Literal["main", "threading", "raw", "native"]
    """The thread in which it runs: that of the program, or how that is started."""
    padding: tuple[int, ...]

    @property
    def is_last(self) -> bool:
        """Whether it is the last one that its process starts."""
        return self.thread == "main"

    @property
    def whole(self) -> tuple[Step, ...]:
        """The steps and the stop."""
        last = Step(kind=self.stop.kind, level=len(self.steps), script=self.name)
        return (*self.steps, last)

    @property
    def kinds(self) -> list[str]:
        return [step.kind.name for step in self.whole]

    def text(self) -> str:
        """The module that defines its functions."""
        parts = [
            "\n" * self.padding[step.level % len(self.padding)] + step.source()
            for step in self.whole
        ]
        return _HEADER + "".join(reversed(parts))  # a step that is an expression needs the next

    def frames(self, version: Version) -> list[tuple[Step, Frame]]:
        """What it declares, oldest first."""
        return [(step, frame) for step in self.whole for frame in step.frames(version)]

    def write(self, folder: Path) -> None:
        (folder / self.file).write_text(self.text(), "utf-8")
        for step in self.steps:
            if step.kind.module:
                (folder / f"{step.module_name}.py").write_text(step.module(), "utf-8")


def usable_kinds(version: Version, has: Iterable[str]) -> list[Kind]:
    """The kinds of steps that an interpreter can run with what there is."""
    there = {"", *has}
    return [kind for kind in KINDS.values() if kind.since <= version and kind.needs in there]


def make_script(
    name: str,
    kinds: Sequence[Kind],
    stop: Stop,
    *,
    chance: random.Random | None = None,
    is_last: bool = False,
) -> Script:
    """A script of these steps; `chance` decides what does not matter to its truth.

    The last script of a process runs in its main thread.
    """
    chance = chance or random.Random(name)
    steps = [Step(kind=kind, level=level, script=name) for level, kind in enumerate(kinds)]
    return Script(
        name=name,
        file=f"{name}{chance.choice(_ODD_NAMES)}.py",
        steps=tuple(steps),
        stop=stop,
        thread="main" if is_last else chance.choice(("threading", "raw", "native")),
        padding=tuple(chance.randrange(4) for _ in range(7)),
    )


def random_scripts(
    seed: str, count: int, kinds: Sequence[Kind], *, max_depth: int = _DEEP[1]
) -> list[Script]:
    """Scripts for one process; the last one is for its main thread, whose stack is small."""
    scripts = []
    for index in range(count):
        chance = random.Random(f"{seed}/{index}")
        is_last = index == count - 1
        depth = _depth(chance, min(max_depth, _MAIN) if is_last else max_depth)
        chosen = once([chance.choice(kinds) for _ in range(depth)])
        name = f"script_{index:04}"
        stop = HOLD if is_last else chance.choice(STOPS)
        scripts.append(make_script(name, chosen, stop, chance=chance, is_last=is_last))
    return scripts


def _depth(chance: random.Random, max_depth: int) -> int:
    bounds = _DEEP if chance.random() < _DEEP_SHARE else _SHALLOW
    return min(chance.randint(*bounds), max_depth)


def once(kinds: Sequence[Kind]) -> list[Kind]:
    """Without the second of those of which one may stand in a script."""
    met: set[str] = set()
    kept = []
    for kind in kinds:
        if not kind.once or kind.once not in met:
            kept.append(kind)
        met.add(kind.once)
    return kept
