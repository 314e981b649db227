"""The memory in a full dump, by a reader that shares nothing with the writer."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FullDump"]

MEMORY64_LIST = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class FullDump:
    """`MINIDUMP_MEMORY64_LIST` of a file: `u64` count, `u64` offset, `u64` start and size each."""

    path: Path
    ranges: list[tuple[int, int, int]]
    """Address, size, file offset."""

    @classmethod
    def read(cls, path: Path) -> FullDump:
        with path.open("rb") as file:
            count, directory = struct.unpack_from("<II", file.read(16), 8)
            file.seek(directory)
            entries = struct.iter_unpack("<III", file.read(12 * count))
            (rva,) = [rva for kind, _, rva in entries if kind == MEMORY64_LIST]
            file.seek(rva)
            count, offset = struct.unpack("<QQ", file.read(16))
            ranges = []
            for start, size in struct.iter_unpack("<QQ", file.read(16 * count)):
                ranges.append((start, size, offset))
                offset += size
            assert offset <= path.stat().st_size
        return cls(path=path, ranges=ranges)

    def offset_of(self, address: int) -> int | None:
        """File offset of an address; `None` when the dump does not hold it."""
        for start, size, offset in self.ranges:
            if start <= address < start + size:
                return offset + address - start
        return None

    def bytes_at(self, address: int, size: int) -> bytes | None:
        offset = self.offset_of(address)
        if offset is None:
            return None
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
