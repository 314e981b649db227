"""Runs many scripts and judges what lastwords shows of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import readers
from building import build, stripped_library
from verdicts import Judgement, judge
from victims import Victim, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interpreters import Interpreter
    from scripts import Script
    from truth import Truth
    from variants import Variant

__all__ = ["PER_PROCESS", "documents_of", "judge_scripts", "judged", "run"]

PER_PROCESS = 50


def run(interpreter: Interpreter, variant: Variant, *, seed: str, count: int) -> list[Judgement]:
    """Judge `count` random scripts."""
    judgements: list[Judgement] = []
    built = build(interpreter, has_debug_info=variant.has_debug_info, is_odd=not variant.is_plain)
    count = min(count, variant.max_scripts)
    for start in range(0, count, PER_PROCESS):
        size = min(PER_PROCESS, count - start)
        scripts = variant.scripts(
            interpreter, built, seed=f"{seed}/{variant.name}/{interpreter.name}/{start}", count=size
        )
        judgements += judge_scripts(interpreter, variant, scripts)
    return judgements


def judge_scripts(
    interpreter: Interpreter, variant: Variant, scripts: Sequence[Script]
) -> list[Judgement]:
    """Run scripts in one process and judge all its threads."""
    return documents_of(interpreter, variant, scripts)[1]


def documents_of(
    interpreter: Interpreter, variant: Variant, scripts: Sequence[Script]
) -> tuple[dict[str, Any], list[Judgement]]:
    """What is shown of a process that runs scripts, and what is to be said about it."""
    built = build(interpreter, has_debug_info=variant.has_debug_info, is_odd=not variant.is_plain)
    library = stripped_library(interpreter, variant.strip) if variant.strip else None
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        folder = Path(temporary)
        spool = folder / "spool" if variant.is_crash else None
        with running(
            interpreter, built, scripts, folder / "scripts",
            options=variant.options, library=library, spool=spool,
        ) as victim:  # fmt: skip
            document = _read(victim, folder, spool)
        return document, judged(variant, interpreter, victim.truths, document)


def judged(
    variant: Variant, interpreter: Interpreter, truths: Sequence[Truth], document: dict[str, Any]
) -> list[Judgement]:
    """Compare all threads of a process with what is shown of it."""
    return [
        judge(
            truth,
            document,
            has_names=interpreter.has_debug_info and not variant.strip,
            has_inlines=variant.has_debug_info,
            is_exact=variant.is_exact,
        )
        for truth in truths
    ]


def _read(victim: Victim, folder: Path, spool: Path | None) -> dict[str, Any]:
    if spool:
        return readers.analyze(readers.spooled_dump(spool))
    if readers.HAS_STACKS_VERB:
        return readers.read_by_stacks(victim.pid)
    return readers.analyze(readers.dump(victim.pid, folder / "victim.dmp"))
