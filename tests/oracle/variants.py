"""What is run: plain scripts, and variants in which unwinding or naming is harder."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import kinds_odd
from building import greenlet_folder
from kinds_stops import CRASH, STOPS
from scripts import KINDS, make_script, once, random_scripts, usable_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from building import Built
    from interpreters import Interpreter
    from kinds_stops import Stop
    from scripts import Script
    from steps import Kind, Version

__all__ = ["VARIANTS", "Variant", "has_what_it_needs"]

_ODD = {kind.name: kind for kind in kinds_odd.KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to run scripts."""

    name: str
    text: str
    """What it is about, for the report."""
    odd: tuple[str, ...] = ()
    """Odd kinds, of which each script has some."""
    stops: tuple[Stop, ...] = tuple(STOPS)
    options: tuple[str, ...] = ()
    """Options of the interpreter."""
    strip: str = ""
    """What is taken from the interpreter's library: an option of strip(1)."""
    has_debug_info: bool = True
    """Whether the native steps have debug information."""
    is_exact: bool = True
    """Whether the C library's unwinder walks whole stacks."""
    must_be_right: bool = False
    """Nothing may be uncertain."""
    is_crash: bool = False
    """The last script dies of a fault instead of standing still."""
    without: frozenset[str] = field(default_factory=frozenset)
    """What plain steps may not need."""
    since: Version = (3, 9)
    max_depth: int = 500
    """Steps of a script, at most."""
    only: tuple[str, ...] = ()
    """Plain kinds, if not all."""
    depth: tuple[int, int] = (1, 12)
    """Plain steps of a script, where odd ones are added or only some are used."""
    max_scripts: int = 1000

    def scripts(
        self, interpreter: Interpreter, built: Built, *, seed: str, count: int
    ) -> list[Script]:
        """Scripts for one process."""
        kinds = usable_kinds(interpreter.numbers, built.has - self.without)
        kinds = [kind for kind in kinds if not self.only or kind.name in self.only]
        if self.is_plain:
            return random_scripts(seed, count, kinds, max_depth=self.max_depth)
        scripts = []
        for index in range(count):
            chance = random.Random(f"{seed}/{index}")
            is_last = index == count - 1
            stop = CRASH if self.is_crash and is_last else chance.choice(self.stops)
            chosen = once(self._choose(chance, kinds))
            name = f"script_{index:04}"
            scripts.append(make_script(name, chosen, stop, chance=chance, is_last=is_last))
        return scripts

    @property
    def is_plain(self) -> bool:
        """Whether any plain steps stand in its scripts, and no others."""
        return not self.odd and self.stops == tuple(STOPS) and not self.is_crash and not self.only

    def is_usable(self, interpreter: Interpreter) -> bool:
        if interpreter.numbers < self.since:
            return False
        if self.strip and interpreter.core == interpreter.program.resolve():
            return False  # its code is in the executable itself
        return interpreter.has_trampoline or "perf" not in self.options

    def _choose(self, chance: random.Random, kinds: Sequence[Kind]) -> list[Kind]:
        chosen = [chance.choice(kinds) for _ in range(chance.randint(*self.depth))]
        for _ in range(chance.randint(1, 3) if self.odd else 0):
            name = chance.choice(self.odd)
            odd = _ODD.get(name) or KINDS[name]
            chosen.insert(chance.randint(0, len(chosen)), odd)
        return chosen


def has_what_it_needs(variant: Variant, interpreter: Interpreter) -> bool:
    """Whether packages are there that a variant needs."""
    is_needed = any(_ODD[name].needs == "greenlet" for name in variant.odd if name in _ODD)
    return not is_needed or greenlet_folder(interpreter) is not None


VARIANTS = {
    variant.name: variant
    for variant in [
        Variant(name="plain", text="everything can be unwound", must_be_right=True),
        Variant(
            name="stripped",
            text="the interpreter's library without symbols",
            strip="--strip-all",
            must_be_right=True,
        ),
        Variant(
            name="no_debug_info",
            text="neither the library nor the native steps have debug information",
            strip="--strip-debug",
            has_debug_info=False,
            must_be_right=True,
        ),
        Variant(
            name="no_columns",
            text="`-X no_debug_ranges`",
            options=("-X", "no_debug_ranges"),
            since=(3, 11),
            must_be_right=True,
        ),
        Variant(
            name="deep",
            text="stacks of thousands of frames, more than is kept",
            only=("function", "recursion", "recursion_of_two", "methods", "super_method"),
            depth=(500, 1500),
            max_scripts=4,
        ),
        Variant(
            name="no_tables",
            text="functions without call frame information: assembly, C",
            odd=(
                "assembly",
                "assembly_with_frame_pointer",
                "assembly_that_trashes",
                "c_without_tables",
                "c_with_debug_frame",
            ),
            stops=(*STOPS, *kinds_odd.STOPS["no_tables"] * 3),
        ),
        Variant(
            name="signals",
            text="signal handlers, on the thread's stack and on an alternate one",
            odd=("signal", "signal_on_alternate_stack", "fault_at_entry", "trap_in_function"),
        ),
        Variant(name="call_of_null", text="a fault in a call of address 0", odd=("call_of_null",)),
        Variant(
            name="other_stacks",
            text="code on a stack that the program made (makecontext)",
            odd=("other_stack",),
        ),
        Variant(
            name="linkage_table",
            text="threads inside the procedure linkage table",
            stops=tuple(kinds_odd.STOPS["linkage_table"]),
            must_be_right=True,
        ),
        Variant(
            name="interpreters",
            text="another interpreter on the same thread",
            odd=("interpreter",),
            without=frozenset({"pybind11", "cython", "rust", "ctypes", "asyncio"}),
            must_be_right=True,
        ),
        Variant(
            name="greenlets",
            text="a greenlet",
            odd=("greenlet", "greenlet_resumed"),
        ),
        Variant(
            name="perf",
            text="`-X perf`: a trampoline without call frame information for each function",
            options=("-X", "perf"),
            since=(3, 12),
            is_exact=False,
            max_depth=100,  # each call of Python is one of C, of which 3.12 allows 1,500
        ),
        Variant(
            name="crash",
            text="a crash below signal handlers on an alternate stack, seen in its report",
            odd=("signal", "signal_on_alternate_stack"),
            is_crash=True,
            since=(3, 10),
        ),
    ]
}
