"""The page `docs/reference/oracle.md`: what a whole run found."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from amount import LOOKS, cells
from interpreters import interpreters
from moving import THREADS
from scripts import KINDS
from variants import VARIANTS
from verdicts import Verdict

from lastwords import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interpreters import Interpreter
    from verdicts import Judgement

__all__ = ["MOVING", "Page"]

MOVING = "moving"
_INTRODUCTION = """\
# The oracle of one true stack

Call scripts whose true stack is known to themselves (`tests/oracle/`): random chains of steps, each
of which calls the next in another way. The last one stands still. Then `lastwords` is asked for the
stacks of the process, and every thread is compared with what it wrote down before: each Python
frame with qualname, file, line and columns as `sys._getframe()` and `co_positions()` give them, our
own native functions between them, the functions of the interpreter that each kind of step goes
through, and every native return address as the C library's own unwinder gives it.

A thread is *right* when nothing differs; *marked* when something differs or has no place and
lastwords says so there (`unknown_frames`, a guessed `trust`, an `unplaced` Python frame, a soft
error); else it is *silently wrong*, which must not be.
"""


@dataclass(slots=True, kw_only=True)
class _Row:
    variant: str
    interpreter: Interpreter
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    frames: int = 0


class Page:
    """Results, and the text that tells them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}

    def add(self, variant: str, interpreter: Interpreter, judgements: Sequence[Judgement]) -> None:
        row = _Row(variant=variant, interpreter=interpreter)
        row.verdicts.update(judgement.verdict for judgement in judgements)
        truths = [judgement.truth for judgement in judgements]
        row.frames = sum(len(truth.python) + len(truth.addresses) for truth in truths)
        self._rows[variant, interpreter.name] = row

    @property
    def is_whole(self) -> bool:
        """Whether nothing that this machine could run is missing."""
        wanted = {(cell.variant.name, cell.interpreter.name) for cell in cells()}
        return wanted <= set(self._rows)

    def text(self) -> str:
        return "\n".join([_INTRODUCTION, *self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        names = ", ".join(interpreter.version for interpreter in interpreters())
        today, libc = datetime.now(timezone.utc).strftime("%Y-%m-%d"), platform.libc_ver()[1]
        yield f"Run on {today} with lastwords {__version__}, CPython {names},"
        yield f"{platform.system()} {platform.machine()}, glibc {libc}; {len(KINDS)} kinds of plain"
        yield "steps, depth 1 to 40 and up to 500."
        for variant, text in self._variants():
            rows = [row for row in self._rows.values() if row.variant == variant]
            if not rows:
                continue
            yield f"\n## {variant}\n\n{text}.\n"
            yield "| CPython | threads | right | marked | silently wrong | frames compared |"
            yield "|---|---|---|---|---|---|"
            yield from map(_line, rows)

    def _variants(self) -> Iterator[tuple[str, str]]:
        for variant in VARIANTS.values():
            yield variant.name, variant.text[0].upper() + variant.text[1:]
        text = f"Threads that never stand still, {THREADS} of them, looked at {LOOKS} times"
        yield MOVING, text


def _line(row: _Row) -> str:
    counts = [row.verdicts[verdict] for verdict in Verdict]
    numbers = [f"{number:,}" for number in (sum(counts), *counts, row.frames)]
    return f"| {' | '.join([row.interpreter.name, *numbers])} |"
