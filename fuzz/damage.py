"""Ways to damage a file: each takes bytes and chance, and gives bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["damaged"]

_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEADER_BYTES = 4096


def _position(data: bytearray, chance: random.Random) -> int:
    """Half of the damage goes where headers and directories are."""
    end = min(len(data), _HEADER_BYTES) if chance.random() < 0.5 else len(data)
    return chance.randrange(end)


def _flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 16)):
        data[_position(data, chance)] ^= 1 << chance.randrange(8)


def _set_number(data: bytearray, chance: random.Random) -> None:
    width = chance.choice((2, 4, 8))
    at = _position(data, chance) // width * width
    value = chance.choice((*_INTERESTING, len(data), len(data) - 1, chance.getrandbits(32)))
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_position(data, chance) :]


def _remove(data: bytearray, chance: random.Random) -> None:
    at = _position(data, chance)
    del data[at : at + chance.randint(1, 64)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _position(data, chance)
    data[at:at] = data[at : at + chance.randint(1, 256)] * chance.randint(1, 8)


def _move(data: bytearray, chance: random.Random) -> None:
    source, target = _position(data, chance), _position(data, chance)
    size = chance.randint(1, 128)
    data[target : target + size] = data[source : source + size]


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bits, _set_number, _set_number, _cut, _remove, _repeat, _move,
)  # fmt: skip


def damaged(original: bytes, chance: random.Random) -> bytes:
    """A damaged copy of a file that is not empty."""
    data = bytearray(original)
    for _ in range(chance.randint(1, 4)):
        if data:
            chance.choice(_WAYS)(data, chance)
    return bytes(data)
