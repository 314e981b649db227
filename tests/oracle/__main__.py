"""Runs single scripts by hand.

    python tests/oracle show 3.11.7 function,sorted_key,signal stop_read
    python tests/oracle shrink 3.11.7 signals

The first prints the stack that lastwords shows and what differs from the truth; the last word of
the steps may be `main`: the program's main thread runs them. The second looks for the smallest
script of a variant that is not right.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import kinds_odd
from amount import SEED
from interpreters import interpreters
from kinds_stops import CRASH, HOLD, STOPS
from runs import documents_of, run
from scripts import KINDS, make_script
from shrinking import shrink
from variants import VARIANTS
from verdicts import Verdict

if TYPE_CHECKING:
    from interpreters import Interpreter
    from verdicts import Judgement

_KINDS = KINDS | {kind.name: kind for kind in kinds_odd.KINDS}
_STOPS = {
    stop.kind.name: stop
    for stop in [
        *STOPS,
        HOLD,
        CRASH,
        *(stop for stops in kinds_odd.STOPS.values() for stop in stops),
    ]
}


def _interpreter(name: str) -> Interpreter:
    found = {interpreter.name: interpreter for interpreter in interpreters()}
    if name not in found:
        sys.exit(f"there is no {name}; there are {', '.join(found)}")
    return found[name]


def show(name: str, steps: str, stop: str, variant: str = "no_tables") -> None:
    """Print the stack of one script; `variant` says how the process is run."""
    words = [word for word in steps.split(",") if word]
    is_main = words[-1:] == ["main"]
    kinds = [_KINDS[word] for word in words if word != "main"]
    scripts = [make_script("script_0000", kinds, _STOPS[stop], is_last=is_main)]
    if not is_main:
        last = CRASH if VARIANTS[variant].is_crash else HOLD
        scripts.append(make_script("script_0001", [], last, is_last=True))
    document, judgements = documents_of(_interpreter(name), VARIANTS[variant], scripts)
    judgement = judgements[0]
    [thread] = [one for one in document["threads"] if one["thread_id"] == judgement.truth.thread_id]
    for frame in thread["frames"]:
        print(_line(frame))
    print(f"is_whole: {thread.get('is_whole')}, soft errors: {document['soft_errors']}")
    _tell(judgement)


def _line(frame: dict[str, Any]) -> str:
    gap = f"[unknown before: {frame['unknown_frames']}] " if frame.get("unknown_frames") else ""
    if frame["kind"] == "python":
        python, evaluation = frame["python"], frame.get("evaluation") or {}
        place = f"{python['file']}:{python['line']}:{python['column']}"
        return (
            f"{gap}PY {frame['function']} {place} {python['placement']} {evaluation.get('offset')}"
        )
    names = " < ".join([*(i["function"] for i in frame["inlines"] or ()), frame["function"] or "?"])
    return f"{gap}   {frame['trust']:14} {frame['offset']} {frame['module']} {names}"


def _tell(judgement: Judgement) -> None:
    print(f"{judgement.verdict.value}: {' > '.join(judgement.truth.script.kinds)}")
    for difference in judgement.differences:
        print("  marked:" if difference.is_marked else "  silent:", difference.text)


def shrink_variant(name: str, variant: str, count: str = "100", verdict: str = "WRONG") -> None:
    """Print the smallest script of a variant that has that verdict."""
    interpreter, wanted = _interpreter(name), Verdict[verdict]
    judgements = run(interpreter, VARIANTS[variant], seed=SEED, count=int(count))
    bad = [judgement for judgement in judgements if judgement.verdict is wanted]
    print(f"{len(bad)} of {len(judgements)} are {wanted.value}")
    if bad:
        smallest = min(bad, key=lambda judgement: len(judgement.truth.script.steps))
        script = smallest.truth.script
        _tell(shrink(interpreter, VARIANTS[variant], script, wanted) or smallest)


if __name__ == "__main__":
    verb = show if sys.argv[1] == "show" else shrink_variant
    verb(*sys.argv[2:])
