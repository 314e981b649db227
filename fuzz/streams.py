"""Damage to one stream of a minidump, where random damage to the whole file seldom hits.

The directory: u32 type, u32 size, u32 offset per stream, at the offset in byte 12 of the file;
their number is in byte 8 (`MINIDUMP_HEADER`).
"""

from __future__ import annotations

import copy
import json
import struct
from typing import TYPE_CHECKING, Any

from fuzz.damage import damaged

if TYPE_CHECKING:
    import random

__all__ = ["otherwise_said", "stream_damaged"]

_ENTRY = struct.Struct("<III")
_MOST_STREAMS = 100
_METADATA, _BREADCRUMBS, _THROWS, _KERNEL = 0x4C570002, 0x4C570003, 0x4C570004, 0x4C570006
_PYTHON_DETAILS = 0x4C570008
_OF_OURS = (_METADATA, _BREADCRUMBS, _THROWS, _KERNEL, _PYTHON_DETAILS)
_NEW = (10, 11, 12, 15, 17, 24, 0x4C570001, *_OF_OURS)
"""Comments, handles, process times, thread times and names; the private ones."""
_A_THROW = {
    "tid": 1, "time_ns": 1, "type": "St13runtime_error", "what": "no", "exception": "0x60",
    "class": "cpp", "is_rethrow": False, "pcs": ["0x11", "0x22"], "is_uncaught": True,
    "primary": None,
}  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**64 - 1, 2**64, -(2**63), 1e308, 0.5, "", "0x", "\0",
    "0xffffffffffffffff", "0x10000000000000000", "-0x1", "\ud7ff" * 300, "x" * 70_000, [], {},
    [[]], [{}], [0] * 5_000, {"": {}}, "cpp_dependent", "2026-13-45T99:99:99Z",
)  # fmt: skip


def _directory(data: bytes) -> list[tuple[int, int, int, int]]:
    """Place of the entry, type, size, offset."""
    if len(data) < 16:
        return []
    count, start = struct.unpack_from("<II", data, 8)
    ends = min(start + 12 * min(count, _MOST_STREAMS), len(data) - 11)
    return [(at, *_ENTRY.unpack_from(data, at)) for at in range(start, ends, 12)]


def stream_damaged(data: bytes, chance: random.Random) -> bytes:
    """A copy with one stream damaged and put behind the rest of the file.

    Half of the time it is one of those that only some writers have.
    """
    entries = _directory(data)
    if chance.random() < 0.5:
        entries = [entry for entry in entries if entry[1] in _NEW] or entries
    if not entries:
        return damaged(data, chance)
    at, kind, size, offset = chance.choice(entries)
    stream = data[offset : offset + size]
    return _with_stream(data, at, kind, damaged(stream, chance) if stream else b"\xff" * 4)


def otherwise_said(data: bytes, chance: random.Random) -> bytes:
    """A copy in which one of our streams of JSON says something else, and is still JSON."""
    entries = _directory(data)
    ours = [entry for entry in entries if entry[1] in _OF_OURS]
    if not entries:
        return damaged(data, chance)
    if not ours or chance.random() < 0.3:
        # The place of a stream that the rest does not need: the first ones are threads and modules.
        at, kind = chance.choice(entries[len(entries) // 2 :])[0], _THROWS
        value: object = [dict(_A_THROW) for _ in range(chance.randint(1, 5))]
    else:
        at, kind, size, offset = chance.choice(ours)
        try:
            value = json.loads(data[offset : offset + size].rstrip(b"\0"))
        except ValueError:
            return stream_damaged(data, chance)
    for _ in range(chance.randint(1, 4)):
        value = _other(value, chance)
    return _with_stream(data, at, kind, json.dumps(value).encode())


def _other(value: object, chance: random.Random) -> object:
    """The value with something in it replaced, removed or repeated."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.05:
        return copy.deepcopy(chance.choice(_ODD))
    key: Any
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    way = chance.random()
    if way < 0.1:
        del value[key]
    elif way < 0.2 and isinstance(value, list):
        value[key:key] = [value[key]] * chance.randint(1, 20)
    else:
        value[key] = _other(value[key], chance)
    return value


def _with_stream(data: bytes, at: int, kind: int, stream: bytes) -> bytes:
    changed = bytearray(data + b"\0" * (-len(data) % 8))
    changed[at : at + 12] = _ENTRY.pack(kind, len(stream), len(changed))
    return bytes(changed + stream)
