"""Finds the smallest script that lastwords still gets wrong in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinds_stops import CRASH, HOLD
from runs import judge_scripts
from scripts import make_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interpreters import Interpreter
    from kinds_stops import Stop
    from scripts import Script
    from steps import Kind
    from variants import Variant
    from verdicts import Judgement, Verdict

__all__ = ["shrink"]

_AT_ONCE = 25
"""Candidates that one process runs."""


def shrink(
    interpreter: Interpreter, variant: Variant, script: Script, verdict: Verdict
) -> Judgement | None:
    """The judgement of a smaller script with the same verdict; `None`: it does not come again.

    Steps are left out, large parts first, as long as the verdict stays.
    """
    kinds = [step.kind for step in script.steps]
    best = _first(interpreter, variant, script, [kinds], verdict)
    size = max(len(kinds) // 2, 1)
    while best is not None and kinds:
        shorter = [kinds[:at] + kinds[at + size :] for at in range(0, len(kinds), size)]
        found = _first(interpreter, variant, script, shorter, verdict)
        if found is not None:
            best, kinds = found, [step.kind for step in found.truth.script.steps]
        elif size == 1:
            break
        size = max(min(size, len(kinds)) // (1 if found else 2), 1)
    return best


def _first(
    interpreter: Interpreter,
    variant: Variant,
    script: Script,
    candidates: Sequence[Sequence[Kind]],
    verdict: Verdict,
) -> Judgement | None:
    """The first candidate of that verdict."""
    for batch in _batches(script, candidates, CRASH if variant.is_crash else HOLD):
        for judgement in judge_scripts(interpreter, variant, batch):
            if judgement.verdict is verdict:
                return judgement
    return None


def _batches(
    script: Script, candidates: Sequence[Sequence[Kind]], last: Stop
) -> Iterator[list[Script]]:
    """The candidates as scripts of processes; of main threads a process has one."""
    if script.is_last:
        for kinds in candidates:
            yield [make_script("script_0000", kinds, script.stop, is_last=True)]
        return
    for start in range(0, len(candidates), _AT_ONCE):
        scripts = [
            make_script(f"script_{index:04}", kinds, script.stop)
            for index, kinds in enumerate(candidates[start : start + _AT_ONCE])
        ]
        yield [*scripts, make_script("script_9999", [], last, is_last=True)]
