from __future__ import annotations

import random
import time

import pytest

from lastwords.report.folding import Fold, fold_words, folds


def test_a_function_that_calls_itself_is_one_fold() -> None:
    assert folds(["start", *["fib"] * 10, "main"]) == [Fold(start=1, length=1, end=11)]
    assert folds(["fib"] * 10)[0].rounds == 10
    assert folds(["fib"] * 10)[0].hidden == range(1, 10)


def test_functions_that_call_each_other_are_one_fold_with_a_rest() -> None:
    stack = ["top", *["even", "odd"] * 5, "even", "main"]
    assert folds(stack) == [Fold(start=1, length=2, end=11)]


def test_a_round_with_repeats_inside_is_found_whole() -> None:
    stack = [*["a", "a", "a", "a", "a", "a", "b"] * 3, "main"]
    assert folds(stack) == [Fold(start=0, length=7, end=21)]


def test_a_round_of_the_greatest_length_is_found_and_none_above() -> None:
    longest = list(range(64))
    assert folds(longest * 3) == [Fold(start=0, length=64, end=192)]
    assert folds(list(range(65)) * 3) == []


@pytest.mark.parametrize("stack", [[], ["a"], ["a"] * 4, ["a", "b"] * 2, list("abcdef")])
def test_a_few_frames_are_shown_as_they_are(stack: list[str]) -> None:
    assert folds(stack) == []


def test_two_recursions_are_two_folds() -> None:
    stack = [*["a"] * 8, "between", *["b", "c"] * 8]
    assert folds(stack) == [Fold(start=0, length=1, end=8), Fold(start=9, length=2, end=25)]


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_same_rounds_on_both_sides_of_a_gap_are_one_fold(shift: int) -> None:
    ring = ["a", "b", "c"] * 20
    stack = ["top", *ring[:31], *ring[shift : shift + 30], "main"]
    (fold,) = folds(stack, {32: 3_000})
    assert (fold.start, fold.length, fold.omitted) == (1, 3, 3_000)
    assert len(stack) - 1 - fold.end < 3
    assert fold.rounds == (fold.end - 1 + 3_000) // 3


def test_other_rounds_behind_a_gap_are_their_own_fold() -> None:
    stack = [*["a"] * 10, *["b"] * 10]
    assert folds(stack, {10: 5}) == [
        Fold(start=0, length=1, end=10),
        Fold(start=10, length=1, end=20),
    ]


def test_a_gap_between_equal_frames_is_not_overlooked() -> None:
    assert folds(["a"] * 20, {10: 5}) == [Fold(start=0, length=1, end=20, omitted=5)]
    assert folds(["a"] * 20, {0: 5, 20: 5, 99: 5}) == [Fold(start=0, length=1, end=20)]


def test_words() -> None:
    fold = Fold(start=12, length=2, end=20_836)
    assert fold_words(fold, 12, 20_835) == "… repeated 10,412 times (frames 12\N{EN DASH}20,835)"
    cut = Fold(start=0, length=1, end=4_096, omitted=95_904)
    numbers = "frames 0\N{EN DASH}4,095, and 95,904 left out between them"
    assert fold_words(cut, 0, 4_095) == f"… repeated about 100,000 times ({numbers})"


@pytest.mark.parametrize(
    "stack",
    [
        ["a"] * 65_536,
        [*["a"] * 63, "b"] * 1_024,
        [random.Random(1).choice("ab") for _ in range(65_536)],
        [n for n in range(16_384) for _ in range(4)],
        list(range(65_536)),
    ],
    ids=["one", "long rounds", "two at random", "in fours", "none"],
)
def test_the_longest_stacks_take_no_time(stack: list[object]) -> None:
    started_s = time.process_time()
    found = folds(stack)
    assert time.process_time() - started_s < 2.0
    hidden = {index for fold in found for index in fold.hidden}
    assert all(fold.start < fold.end <= len(stack) for fold in found)
    assert len(hidden) == sum(len(fold.hidden) for fold in found), "no frame is hidden twice"
