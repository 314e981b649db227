"""What lastwords shows is the true stack of each thread, or says where it is not sure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from amount import IS_WHOLE, LOOKS, PLAIN_SCRIPTS, SEED, VARIANT_SCRIPTS, Cell, cells
from interpreters import interpreters
from moving import THREADS, run_moving
from report import MOVING
from runs import run
from variants import has_what_it_needs
from verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interpreters import Interpreter
    from report import Page
    from verdicts import Judgement

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3600 if IS_WHOLE else 300)]


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_every_thread_is_right_or_marked(cell: Cell, page: Page) -> None:
    if not has_what_it_needs(cell.variant, cell.interpreter):
        page.add(cell.variant.name, cell.interpreter, [])
        pytest.skip("the greenlet package is not there for this interpreter")
    count = PLAIN_SCRIPTS if cell.variant.name == "plain" else VARIANT_SCRIPTS
    judgements = run(cell.interpreter, cell.variant, seed=SEED, count=count)
    page.add(cell.variant.name, cell.interpreter, judgements)
    allowed = {Verdict.RIGHT}
    if not cell.variant.must_be_right or cell.interpreter.numbers < (3, 10):
        allowed.add(Verdict.MARKED)
    assert_verdicts(judgements, allowed)


MOVED = [one for one in interpreters() if one.numbers >= (3, 10)]


@pytest.mark.parametrize("interpreter", MOVED, ids=lambda one: one.name)
def test_a_thread_is_right_wherever_it_happens_to_be(interpreter: Interpreter, page: Page) -> None:
    judgements = list(run_moving(interpreter, seed=SEED, looks=LOOKS, threads=THREADS))
    page.add(MOVING, interpreter, judgements)
    assert_verdicts(judgements, {Verdict.RIGHT, Verdict.MARKED})


def assert_verdicts(judgements: Sequence[Judgement], allowed: set[Verdict]) -> None:
    """Fails with the smallest script of those that are not allowed, and all differences of it."""
    bad = [judgement for judgement in judgements if judgement.verdict not in allowed]
    counts = Counter(judgement.verdict.value for judgement in judgements)
    if bad:
        smallest = min(bad, key=lambda judgement: len(judgement.truth.script.steps))
        script = smallest.truth.script
        told = "\n".join(str(difference) for difference in smallest.differences)
        pytest.fail(
            f"{dict(counts)}; the smallest bad script, {' > '.join(script.kinds)}, "
            f"is {smallest.verdict.value}:\n{told}\n\n{script.text()}",
            pytrace=False,
        )
