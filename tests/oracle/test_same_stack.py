"""A living process, a core of it and a dump of it have the same stacks, for they are the same."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import readers
from amount import IS_WHOLE, SEED
from building import build
from interpreters import interpreters
from runs import judged
from test_one_true_stack import assert_verdicts
from variants import VARIANTS
from verdicts import Verdict
from victims import running

if TYPE_CHECKING:
    from interpreters import Interpreter

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not readers.HAS_STACKS_VERB, reason="there is no `lastwords stacks` yet"),
    pytest.mark.skipif(not shutil.which("gcore"), reason="gdb's gcore is not there"),
]
SCRIPTS = 100 if IS_WHOLE else 15


def chosen() -> list[Interpreter]:
    """All interpreters, or two of them: another two for each seed."""
    found = list(interpreters())
    return found if IS_WHOLE else random.Random(SEED).sample(found, min(2, len(found)))


@pytest.mark.parametrize("variant", ["plain", "no_tables", "interpreters"])
@pytest.mark.parametrize("interpreter", chosen(), ids=lambda one: one.name)
def test_three_sources_show_the_same(interpreter: Interpreter, variant: str) -> None:
    built = build(interpreter, is_odd=not VARIANTS[variant].is_plain)
    scripts = VARIANTS[variant].scripts(interpreter, built, seed=SEED, count=SCRIPTS)
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        folder = Path(temporary)
        with running(interpreter, built, scripts, folder / "scripts") as victim:
            living = readers.read_by_stacks(victim.pid)
            dump = readers.dump(victim.pid, folder / "victim.dmp")
            core = write_core(victim.pid, folder)
            # The process is still there: nothing may be read from it.
            documents = {"living": living}
            documents |= {file.name: readers.read_by_stacks(file) for file in (dump, core)}
        for document in documents.values():
            judgements = judged(VARIANTS[variant], interpreter, victim.truths, document)
            assert_verdicts(judgements, {Verdict.RIGHT, Verdict.MARKED})
        stacks = {name: stacks_of(document) for name, document in documents.items()}
    for truth in victim.truths:
        shown = {name: stack.get(truth.thread_id) for name, stack in stacks.items()}
        for name, frames in shown.items():
            assert frames == shown["living"], f"{name}, {' > '.join(truth.script.kinds)}"


def write_core(pid: int, folder: Path) -> Path:
    prefix = folder / "core"
    subprocess.run(["gcore", "-o", prefix, str(pid)], check=True, capture_output=True, timeout=300)
    return folder / f"core.{pid}"


def stacks_of(document: dict[str, Any]) -> dict[int, list[Any]]:
    """The frames of each thread, without what depends on where they were read."""
    return {
        thread["thread_id"]: [_frame(frame) for frame in thread["frames"]]
        for thread in document["threads"]
    }


_NATIVE = ("function", "file", "line", "module", "module_offset", "inlines", "trust", "plumbing")


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    kept = {"kind": frame["kind"], "has_gap": bool(frame.get("unknown_frames"))}
    if frame["kind"] == "python":
        evaluation = frame.get("evaluation")
        return kept | {
            "python": {key: frame["python"][key] for key in sorted(frame["python"])},
            "evaluation": evaluation and evaluation["module_offset"],
        }
    return kept | {key: frame.get(key) for key in _NATIVE}
