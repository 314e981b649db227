from __future__ import annotations

import array
import ctypes
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lastwords
from lastwords.sdk import additions, dump_extra, native

if TYPE_CHECKING:
    from collections.abc import Callable

RUST = Path(__file__).parents[3] / "crates"
Answer = tuple[list[tuple[int, int]], list[tuple[int, bytes]]]


class FakeCore:
    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def set_additions(self, memory: Any, streams: Any) -> None:
        self.answers.append((memory, streams))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    core = FakeCore()
    monkeypatch.setattr(native, "_armed", [core])
    monkeypatch.setattr(additions, "_state", additions._State())
    return core


def told(function: Callable[[], object]) -> list[str]:
    with pytest.warns(lastwords.LastwordsWarning) as warnings:
        function()
    return [str(warning.message) for warning in warnings]


def test_the_function_is_asked_at_once_and_again(fake: FakeCore) -> None:
    lastwords.on_dump(lambda extra: extra.add_memory(0x1000, 8))
    lastwords.refresh_on_dump()
    assert fake.answers == [([], []), ([(0x1000, 8)], []), ([(0x1000, 8)], [])]
    lastwords.on_dump(None)
    lastwords.refresh_on_dump()
    assert fake.answers[3:] == [([], [])]


@pytest.mark.parametrize("buffer", [bytearray(b"x" * 70), b"y" * 70, array.array("d", [1.5] * 9)])
def test_a_buffer_is_held_and_has_its_own_address(
    fake: FakeCore, buffer: bytearray | bytes | array.array[float]
) -> None:
    lastwords.on_dump(lambda extra: extra.add_buffer(buffer))
    ((address, size),) = fake.answers[-1][0]
    assert ctypes.string_at(address, size) == bytes(memoryview(buffer))
    if isinstance(buffer, bytearray):
        with pytest.raises(BufferError):
            buffer.append(1)
        lastwords.on_dump(None)
        buffer.append(1)


def test_arguments_that_cannot_be_kept_are_told_and_the_rest_stays(fake: FakeCore) -> None:
    wrong: list[Callable[[lastwords.DumpExtra], object]] = [
        lambda extra: extra.add_memory("x", 1),  # type: ignore[arg-type]
        lambda extra: extra.add_memory(True, 1),
        lambda extra: extra.add_memory(-1, 1),
        lambda extra: extra.add_memory(5, 0),
        lambda extra: extra.add_memory(2**64 - 1, 2),
        lambda extra: extra.add_memory(5, 64 * 1024 * 1024),
        lambda extra: extra.add_buffer(3),
        lambda extra: extra.add_buffer(memoryview(b"abcdef")[::2]),
        lambda extra: extra.add_stream(0xFFFF, b"x"),
        lambda extra: extra.add_stream(0x4C570001, b"x"),
        lambda extra: extra.add_stream(0x47670001, b"x"),
        lambda extra: extra.add_stream(2**32, b"x"),
        lambda extra: extra.add_stream(0x10001, b"twice"),
        lambda extra: extra.add_stream(0x10002, "text"),  # type: ignore[arg-type]
        lambda extra: extra.add_stream(0x10002, bytes(65_536)),
    ]

    def add(extra: lastwords.DumpExtra) -> None:
        extra.add_memory(1, 1)
        extra.add_stream(0x10001, bytearray(b"one"))
        for call in wrong:
            call(extra)

    texts = told(lambda: lastwords.on_dump(add))
    assert len(texts) == len(wrong), texts
    assert all(text.startswith("addition_rejected: on_dump(): ") for text in texts)
    assert fake.answers[-1] == ([(1, 1)], [(0x10001, b"one")])


def test_numbers_are_limited(fake: FakeCore) -> None:
    def add(extra: lastwords.DumpExtra) -> None:
        for number in range(65):
            extra.add_memory(0x1000 + number, 1)
        for number in range(17):
            extra.add_stream(0x10000 + number, b"x" * 4096)

    texts = told(lambda: lastwords.on_dump(add))
    assert len(texts) == 2
    memory, streams = fake.answers[-1]
    assert (len(memory), len(streams)) == (64, 16)


def test_what_is_no_function_or_raises_is_told(fake: FakeCore) -> None:
    lastwords.on_dump(lambda extra: extra.add_memory(7, 7))
    (text,) = told(lambda: lastwords.on_dump(5))  # type: ignore[arg-type]
    assert text.startswith("on_dump_failed: on_dump() was given a int, expected a function")
    assert fake.answers[-1] == ([(7, 7)], [])

    class RudeError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    calls = []

    def rude(extra: lastwords.DumpExtra) -> None:
        extra.add_memory(9, 9)
        calls.append(1)
        if len(calls) > 1:
            raise RudeError

    lastwords.on_dump(rude)
    (text,) = told(lastwords.refresh_on_dump)
    assert "raised RudeError (hint" in text
    assert fake.answers[-1] == ([(9, 9)], [])


def test_a_slow_function_is_told_and_counts(
    fake: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(additions, "_SLOW_S", 0.01)

    def slow(extra: lastwords.DumpExtra) -> None:
        time.sleep(0.05)
        extra.add_memory(1, 2)

    (text,) = told(lambda: lastwords.on_dump(slow))
    assert "took 0." in text
    assert fake.answers[-1] == ([(1, 2)], [])


def test_limits_and_taken_types_are_those_of_the_core() -> None:
    def numbers(file: str, name: str) -> list[int]:
        text = (RUST / file).read_text("utf-8")
        (value,) = re.findall(rf"const {name}: [^=]+= ([^;]+);", text)
        return [int(n.replace("_", ""), 0) for n in re.findall(r"0x[0-9A-F_]+|[0-9][0-9_]*", value)]

    shared = "capture/src/shared/additions.rs"
    assert numbers(shared, "MOST_RANGES") == [dump_extra._MAX_RANGES]
    assert numbers(shared, "MOST_STREAMS") == [dump_extra._MAX_STREAMS]
    assert numbers(shared, "MOST_STREAM_BYTES") == [dump_extra._MAX_STREAM_BYTES]
    assert numbers(shared, "MOST_MEMORY") == [64, 1024, 1024]
    assert dump_extra._MAX_MEMORY == 64 * 1024 * 1024
    taken = numbers("monitor/src/callback.rs", "TAKEN_TYPES")
    assert taken == list(dump_extra._TAKEN_TYPES)
    assert numbers("monitor/src/callback.rs", "FIRST_FREE_TYPE") == [dump_extra._FIRST_FREE_TYPE]
