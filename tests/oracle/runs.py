"""Runs many scripts and judges what lastwords shows of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import readers
from scripts import random_scripts, usable_kinds
from verdicts import Judgement, Verdict, judge
from victims import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from building import Built
    from interpreters import Interpreter
    from scripts import Script

__all__ = ["PER_PROCESS", "Result", "judge_scripts", "run_random"]

PER_PROCESS = 50


@dataclass(slots=True, kw_only=True)
class Result:
    """What came out of many scripts on one interpreter."""

    interpreter: Interpreter
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(judgement.verdict for judgement in self.judgements)

    @property
    def frames(self) -> int:
        """Frames that were compared: Python's and native ones."""
        truths = [judgement.truth for judgement in self.judgements]
        return sum(len(truth.python) + len(truth.addresses) for truth in truths)


def judge_scripts(
    interpreter: Interpreter, built: Built, scripts: Sequence[Script]
) -> list[Judgement]:
    """Run scripts in one process and judge all its threads."""
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        folder = Path(temporary)
        with running(interpreter, built, scripts, folder / "scripts") as victim:
            if readers.HAS_STACKS_VERB:
                document = readers.read_by_stacks(victim.pid)
            else:
                document = readers.read_by_dump(victim.pid, folder)
        threads = {thread["thread_id"]: thread for thread in document["threads"]}
        return [
            judge(truth, threads.get(truth.thread_id), has_names=interpreter.has_debug_info)
            for truth in victim.truths
        ]


def run_random(
    interpreter: Interpreter, built: Built, *, seed: str, count: int
) -> Iterator[Judgement]:
    """Judge `count` random scripts."""
    kinds = [k for k in usable_kinds(interpreter.numbers, built.has) if k.name!="greenlet"]
    for start in range(0, count, PER_PROCESS):
        size = min(PER_PROCESS, count - start)
        scripts = random_scripts(f"{seed}/{interpreter.name}/{start}", size, kinds)
        yield from judge_scripts(interpreter, built, scripts)
