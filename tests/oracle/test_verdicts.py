"""The oracle sees what is wrong: a true stack, changed in every way, is no longer called right."""

from __future__ import annotations

import copy
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import readers
from building import build
from interpreters import interpreters
from kinds_stops import HOLD, STOPS
from scripts import KINDS, make_script
from truth import ScriptError
from verdicts import Verdict, judge
from victims import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from interpreters import Interpreter
    from truth import Truth

    Change = Callable[[dict[str, Any], list[dict[str, Any]]], None]

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(300)]

STEPS = ("c_call", "function", "sorted_key", "c_recursion", "methods", "c_inlined", "function")


def own_interpreter() -> Interpreter:
    own = [one for one in interpreters() if one.numbers == sys.version_info[:2]]
    if not own:
        pytest.skip("the headers of this interpreter are missing")
    return max(own, key=lambda one: one.has_debug_info)


@pytest.fixture(scope="module")
def seen() -> Iterator[tuple[Truth, dict[str, Any]]]:
    """A true stack, and what lastwords shows of its process."""
    interpreter = own_interpreter()
    scripts = [
        make_script("script_0000", [KINDS[name] for name in STEPS], STOPS[0]),
        make_script("script_0001", [], HOLD, is_last=True),
    ]
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        file = Path(folder) / "victim.dmp"
        with running(interpreter, build(interpreter), scripts, Path(folder) / "scripts") as victim:
            document = readers.analyze(readers.dump(victim.pid, file))
        yield victim.truths[0], document


def test_the_true_stack_is_right(seen: tuple[Truth, dict[str, Any]]) -> None:
    judgement = judge(*seen)
    assert (judgement.verdict, judgement.differences) == (Verdict.RIGHT, ())


def python_at(frames: list[dict[str, Any]], name: str) -> int:
    return next(
        i for i, f in enumerate(frames) if f["kind"] == "python" and f["python"]["name"] == name
    )


def native_at(frames: list[dict[str, Any]], name: str) -> int:
    return next(i for i, f in enumerate(frames) if f["kind"] == "native" and f["function"] == name)


def without_python(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    del frames[python_at(frames, "f5")]


def with_python_twice(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    at = python_at(frames, "f5")
    frames.insert(at, copy.deepcopy(frames[at]))


def with_python_swapped(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    one, other = python_at(frames, "f1"), python_at(frames, "f2")
    frames[one], frames[other] = frames[other], frames[one]


def with_another_line(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[python_at(frames, "f2")]["python"]["line"] += 1


def with_another_column(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[python_at(frames, "f2")]["python"]["end_column"] -= 1


def without_native(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    del frames[native_at(frames, "oracle_call_00")]


def without_a_round(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    del frames[native_at(frames, "oracle_recurse_03_round")]


def without_an_inlined_one(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[native_at(frames, "oracle_inlined_05")]["inlines"] = []


def with_native_beyond_python(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    native = frames.pop(native_at(frames, "oracle_call_00"))
    frames.insert(python_at(frames, "f0") + 1, native)


def with_native_of_another_copy(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[native_at(frames, "oracle_call_00")]["function"] = "oracle_call_01"


def with_native_as_plumbing(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[native_at(frames, "oracle_call_00")]["plumbing"] = True


def without_the_interpreters_function(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[native_at(frames, "builtin_sorted")]["function"] = "builtin_any"


def with_another_address(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frame = frames[native_at(frames, "oracle_call_00")]
    frame["offset"] = hex(int(frame["offset"], 16) + 1)


def with_an_evaluation_elsewhere(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames[python_at(frames, "f0")]["evaluation"] = None


def without_the_oldest(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    del frames[-1]


def without_all(_: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    frames.clear()


def without_the_thread(document: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    [thread] = [one for one in document["threads"] if one["frames"] is frames]
    document["threads"].remove(thread)


WRONG = [
    without_python, with_python_twice, with_python_swapped, with_another_line, with_another_column,
    without_native, without_a_round, without_an_inlined_one, with_native_beyond_python,
    with_native_of_another_copy, with_native_as_plumbing, without_the_interpreters_function,
    with_another_address, with_an_evaluation_elsewhere, without_the_oldest, without_all,
    without_the_thread,
]  # fmt: skip


def changed(
    seen: tuple[Truth, dict[str, Any]], change: Change
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    truth, document = copy.deepcopy(seen)
    [thread] = [one for one in document["threads"] if one["thread_id"] == truth.thread_id]
    change(document, thread["frames"])
    return document, thread["frames"]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__)
def test_a_change_is_silently_wrong(seen: tuple[Truth, dict[str, Any]], change: Change) -> None:
    document, _ = changed(seen, change)
    assert judge(seen[0], document).verdict is Verdict.WRONG


MARKS = [
    {"trust": "scan"},
    {"unknown_frames": True},
]


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: next(iter(mark)))
def test_a_change_beside_a_mark_is_marked(
    seen: tuple[Truth, dict[str, Any]], mark: dict[str, Any]
) -> None:
    document, frames = changed(seen, without_native)
    frames[python_at(frames, "f0") - 1].update(mark)
    assert judge(seen[0], document).verdict is Verdict.MARKED


def test_a_mark_elsewhere_excuses_nothing(seen: tuple[Truth, dict[str, Any]]) -> None:
    document, frames = changed(seen, without_native)
    frames[python_at(frames, "f4") - 1]["unknown_frames"] = True
    assert judge(seen[0], document).verdict is Verdict.WRONG


def test_a_python_frame_without_a_place_is_marked(seen: tuple[Truth, dict[str, Any]]) -> None:
    document, frames = changed(seen, lambda *_: None)
    frames[python_at(frames, "f5")]["python"]["placement"] = "unplaced"
    assert judge(seen[0], document).verdict is Verdict.MARKED


def test_a_script_that_declares_what_is_not_true_is_refused() -> None:
    interpreter = own_interpreter()
    wrong = dataclasses.replace(KINDS["methods"], frames=KINDS["methods"].frames + "\npy more")
    scripts = [make_script("script_0000", [wrong], HOLD, is_last=True)]
    with (
        tempfile.TemporaryDirectory(prefix="oracle-") as folder,
        pytest.raises(ScriptError, match="declares more"),
        running(interpreter, build(interpreter), scripts, Path(folder) / "scripts"),
    ):
        pass
