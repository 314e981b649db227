"""How much is run: a sample in each test run, everything when LASTWORDS_ORACLE_SCRIPTS is set.

`LASTWORDS_ORACLE_SCRIPTS=1000 pytest tests/oracle` runs 1,000 plain scripts on each interpreter of
this machine and each variant on each, and writes `docs/reference/oracle.md`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interpreters import interpreters
from variants import VARIANTS

if TYPE_CHECKING:
    from interpreters import Interpreter
    from variants import Variant

__all__ = ["IS_WHOLE", "LOOKS", "PLAIN_SCRIPTS", "SEED", "VARIANT_SCRIPTS", "Cell", "cells"]

IS_WHOLE = "LASTWORDS_ORACLE_SCRIPTS" in os.environ
PLAIN_SCRIPTS = int(os.environ.get("LASTWORDS_ORACLE_SCRIPTS", "100"))
VARIANT_SCRIPTS = max(PLAIN_SCRIPTS // 5, 20)
LOOKS = max(PLAIN_SCRIPTS // 10, 5)
"""How often the threads that never stand still are looked at."""
SEED = os.environ.get("LASTWORDS_ORACLE_SEED", "oracle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A variant on an interpreter."""

    interpreter: Interpreter
    variant: Variant

    def __str__(self) -> str:
        return f"{self.variant.name}-{self.interpreter.name}"


def cells() -> list[Cell]:
    """Plain scripts on each interpreter; each variant on one, which goes round, or on each."""
    found = []
    for index, variant in enumerate(VARIANTS.values()):
        usable = [one for one in interpreters() if variant.is_usable(one)]
        if variant.name != "plain" and not IS_WHOLE and usable:
            usable = [usable[index % len(usable)]]
        found += [Cell(interpreter=one, variant=variant) for one in usable]
    return found
