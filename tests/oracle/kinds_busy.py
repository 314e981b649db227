"""Last steps that never stand still: their thread is seen wherever it happens to be.

Its newest frames are not known then, but what they may be is: `tail` matches the names of the
Python frames that are newer than the step's own, newest first, each followed by a blank.
"""

from __future__ import annotations

from dataclasses import dataclass

from kinds_stops import Stop
from steps import Kind

__all__ = ["BUSY", "Busy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Stop):
    """A last step that works for ever."""

    tail: str


def _busy(name: str, tail: str, work: str, helpers: str = "") -> Busy:
    lines = "".join(f"\n        {line}" for line in work.strip().splitlines())
    source = f"""
{helpers.strip()}
def $here():
    number = 0
    numbers = list(range(20))
    steps.stop_never(NOTE)
    while True:{lines}
"""
    kind = Kind(name=f"busy_{name}", source=source, frames="py $here\nown stop_never")
    return Busy(kind=kind, system_calls=frozenset(), tail=tail)


BUSY = [
    _busy("loop", "", "number += 1"),
    _busy("calls", "(called )?", "called_$n(number)", "def called_$n(number): return number + 1"),
    _busy(
        "names",
        "(inner )?(called )?",
        "called_$n(*numbers, name=number)",
        "def called_$n(*numbers, **names):\n    def inner(): return names\n    return inner()",
    ),
    _busy(
        "recursion",
        "(down ){0,9}",
        "down_$n(8)",
        "def down_$n(rounds): return down_$n(rounds - 1) if rounds else 0",
    ),
    _busy(
        "generator",
        "(made )?",
        "for number in made_$n(): pass",
        "def made_$n(): yield 1; yield 2",
    ),
    _busy(
        "yield_from",
        "(inner )?(outer )?",
        "for number in outer_$n(): pass",
        "def inner_$n(): yield 1; yield 2\ndef outer_$n(): yield from inner_$n()",
    ),
    _busy("sort", "(<lambda> )?", "sorted(numbers, key=lambda number: -number)"),
    _busy("map", "(<lambda> )?", "list(map(lambda number: number + 1, numbers))"),
    _busy("comprehension", "(<lambda> )?(<listcomp> )?", "[(lambda: x)() for x in numbers]"),
    _busy(
        "classes",
        "(__init__ |walk )?",
        "Made_$n(number).walk()",
        "class Made_$n:\n"
        "    def __init__(self, number): self.number = number\n"
        "    def walk(self): return self.number",
    ),
    _busy(
        "slots",
        "(__eq__ |__hash__ |__getattr__ |__len__ )?",
        "key = Key_$n()\n{key: 1}.get(Key_$n())\nlen(key)\nkey.gone",
        "class Key_$n:\n"
        "    def __eq__(self, other): return True\n"
        "    def __hash__(self): return 1\n"
        "    def __len__(self): return 2\n"
        "    def __getattr__(self, name): return name",
    ),
    _busy(
        "exceptions",
        "(raising )?(passing )?",
        "try:\n    passing_$n()\nexcept KeyError:\n    number += 1",
        "def raising_$n(): raise KeyError\n"
        "def passing_$n():\n"
        "    try: raising_$n()\n"
        "    finally: pass",
    ),
    _busy(
        "coroutines",
        "(inner )?(outer )?",
        "try:\n    outer_$n().send(None)\nexcept StopIteration:\n    pass",
        "async def inner_$n(): return 1\nasync def outer_$n(): return await inner_$n()",
    ),
    _busy("native_calls", "(<lambda> )?", "steps.call_$c(lambda: steps.recurse_$c(int))"),
    _busy(
        "deletion",
        "(__del__ )?",
        "dying = Dying_$n()\ndel dying",
        "class Dying_$n:\n    def __del__(self): pass",
    ),
    _busy(
        "execution",
        "(<module> )?",
        "exec(CODE_$n, {'number': number})",
        "CODE_$n = compile('number += 1', '<text>', 'exec')",
    ),
    _busy(
        "callback",
        "(<lambda> )?",
        "LIBC.qsort(items_$n, 4, 4, compare_$n)",
        "items_$n = (ctypes.c_int * 4)(4, 3, 2, 1)\n"
        "made_$n = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)\n"
        "compare_$n = made_$n(lambda left, right: 1)",
    ),
]
