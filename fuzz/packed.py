"""zstd frames (RFC 8878) without a compressor: blocks as they are, and blocks of one byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["bomb", "packed"]

_BLOCK_BYTES = 128 << 10
_START = b"\x28\xb5\x2f\xfd\x00\x58"
"""Magic, a header without a size or a checksum, a window of 2 MiB."""
_RAW, _REPEATED = 0, 1


def _block(kind: int, size: int, *, is_last: bool) -> bytes:
    return struct.pack("<I", is_last | kind << 1 | size << 3)[:3]


def packed(data: bytes) -> bytes:
    """A frame that unpacks to these bytes."""
    frame = bytearray(_START)
    pieces = [data[at : at + _BLOCK_BYTES] for at in range(0, len(data), _BLOCK_BYTES)] or [b""]
    for number, piece in enumerate(pieces, 1):
        frame += _block(_RAW, len(piece), is_last=number == len(pieces)) + piece
    return bytes(frame)


def bomb(chance: random.Random) -> bytes:
    """A frame that unpacks to up to 500 MiB of one byte, from up to 16 kB."""
    count = chance.randint(1, 4000)
    blocks = (
        _block(_REPEATED, _BLOCK_BYTES, is_last=number == count) + b"\0"
        for number in range(1, count + 1)
    )
    return _START + b"".join(blocks)
