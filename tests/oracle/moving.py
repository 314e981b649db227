"""Judges threads that never stand still, at moments that nobody chose.

Of such a thread everything is known that is older than its script's last function, and of the
newer frames what they may be (`kinds_busy`).
"""

from __future__ import annotations

import copy
import dataclasses
import os
import random
import re
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import readers
from building import build
from kinds_busy import BUSY, Busy
from scripts import make_script, once, usable_kinds
from verdicts import Difference, Judgement, judge
from victims import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interpreters import Interpreter
    from scripts import Script
    from truth import PythonFrame, Truth

__all__ = ["THREADS", "judge_moving", "run_moving"]

THREADS = 6
_CALL_FRAMES = 6
"""At most so many native frames lie between the noting function and the script's last one."""
_LOOP_LINES = 5
_DEPTH = (1, 8)


def run_moving(
    interpreter: Interpreter, *, seed: str, looks: int, threads: int
) -> Iterator[Judgement]:
    """Look at busy threads so many times."""
    built = build(interpreter)
    scripts = _scripts(interpreter, built.has, seed, threads)
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        folder = Path(temporary)
        with running(interpreter, built, scripts, folder / "scripts") as victim:
            for _ in range(looks):
                document = _look(victim.pid, folder)
                for truth in victim.truths:
                    yield judge_moving(truth, document, has_names=interpreter.has_debug_info)


def _look(pid: int, folder: Path) -> dict[str, Any]:
    """Lets the process work until it is looked at, and no longer: it takes all processors."""
    os.kill(pid, signal.SIGCONT)
    if readers.HAS_STACKS_VERB:
        document = readers.read_by_stacks(pid)
        os.kill(pid, signal.SIGSTOP)
        return document
    dump = readers.dump(pid, folder / "victim.dmp")
    os.kill(pid, signal.SIGSTOP)
    return readers.analyze(dump)


def _scripts(interpreter: Interpreter, has: frozenset[str], seed: str, count: int) -> list[Script]:
    kinds = usable_kinds(interpreter.numbers, has)
    scripts = []
    for index in range(count):
        chance = random.Random(f"{seed}/{index}")
        chosen = once([chance.choice(kinds) for _ in range(chance.randint(*_DEPTH))])
        name, is_last = f"script_{index:04}", index == count - 1
        stop = chance.choice(BUSY)
        scripts.append(make_script(name, chosen, stop, chance=chance, is_last=is_last))
    return scripts


def judge_moving(truth: Truth, document: dict[str, Any], *, has_names: bool) -> Judgement:
    """Compare one thread with what is known of it."""
    stop = truth.script.stop
    assert isinstance(stop, Busy)
    document = copy.deepcopy(document)
    [thread] = [one for one in document["threads"] if one["thread_id"] == truth.thread_id]
    python = [frame for frame in thread["frames"] if frame["kind"] == "python"]
    newer = len(python) - len(truth.python)
    known = dataclasses.replace(truth, gaps=((), *truth.gaps[1:]), addresses=())
    if newer < 0:
        thread["frames"] = _without_newest_own(truth, thread["frames"])
        return judge(known, document, has_names=has_names)
    bottom = python[newer]
    names = "".join(
        re.sub(r"_\d+$", "", frame["python"]["name"] or "?") + " " for frame in python[:newer]
    )
    is_cut = thread["python"]["is_cut"]
    differences = []
    if not re.fullmatch(stop.tail + "|.*note ", names):
        text = f"newer than the last function are {names}, which {stop.tail!r} does not match"
        differences.append(Difference(text=text, is_marked=is_cut or _is_partial(python[:newer])))
    differences += _bottom_differences(truth.python[0], bottom["python"], is_cut=is_cut)
    differences += _suffix_differences(truth, thread)
    at = next(i for i, frame in enumerate(thread["frames"]) if frame is bottom)
    thread["frames"] = thread["frames"][at:]
    bottom["python"] |= dataclasses.asdict(truth.python[0])
    rest = judge(known, document, has_names=has_names)
    return Judgement(truth=truth, differences=(*differences, *rest.differences))


def _without_newest_own(truth: Truth, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The frames from the last function on, where no Python frame tells where it begins.

    The native functions that it calls have its number in their names.
    """
    name = re.compile(rf"oracle_\w+_{len(truth.script.steps):02}(_round)?")
    own = [i for i, frame in enumerate(frames) if name.fullmatch(frame.get("function") or "")]
    return frames[own[-1] + 1 :] if own else frames


def _is_partial(frames: list[dict[str, Any]]) -> bool:
    return any(frame["python"]["is_partial"] for frame in frames)


def _bottom_differences(
    true: PythonFrame, seen: dict[str, Any], *, is_cut: bool
) -> Iterator[Difference]:
    """The last function is known, its place in its loop is not."""
    if (true.name, true.file) != (seen["name"], seen["file"]):
        text = f"expected {true.name} in {true.file}, got {seen}"
        yield Difference(text=text, is_marked=seen["is_partial"] or is_cut)
    elif not _is_in_loop(true, seen["line"]):
        text = f"line {seen['line']} of {true.name} is not in its loop, which begins at {true.line}"
        yield Difference(text=text, is_marked=seen["is_partial"])


def _is_in_loop(true: PythonFrame, line: int | None) -> bool:
    if line is None:
        return true.has_lineless
    assert true.line is not None
    return true.line <= line <= true.line + _LOOP_LINES


def _suffix_differences(truth: Truth, thread: dict[str, Any]) -> Iterator[Difference]:
    """The native frames older than the last function are those that were noted."""
    if not truth.is_exact:
        return
    natives = [
        frame if frame["kind"] == "native" else frame.get("evaluation")
        for frame in thread["frames"]
    ]
    seen = [int(native["offset"], 16) + 1 for native in natives if native]
    same = 0
    while (
        same < min(len(seen), len(truth.addresses))
        and seen[-1 - same] == truth.addresses[-1 - same]
    ):
        same += 1
    if same < len(truth.addresses) - _CALL_FRAMES:
        is_marked = any(frame.get("unknown_frames") for frame in thread["frames"])
        text = f"only the oldest {same} of {len(truth.addresses)} native frames are right"
        yield Difference(text=text, is_marked=is_marked)
