"""The streams of a minidump, cut out of the file by the specification (`minidumpapiset.h`)."""

from __future__ import annotations

import json
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_LIST, SYSTEM_INFO, MEMORY64_LIST, COMMENT_A, COMMENT_W, HANDLE_DATA = 5, 7, 9, 10, 11, 12
MISC_INFO, MEMORY_INFO_LIST, THREAD_INFO_LIST, VM_COUNTERS, THREAD_NAMES = 15, 16, 17, 22, 24
EXCEPTION = 6
PROC_STATUS, CMD_LINE, ENVIRON = 0x47670004, 0x47670006, 0x47670007
AUXV, MAPS, DSO_DEBUG = 0x47670008, 0x47670009, 0x4767000A
METADATA, BREADCRUMBS, KERNEL = 0x4C570002, 0x4C570003, 0x4C570006


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFile:
    """A dump, mapped into memory."""

    data: mmap.mmap
    streams: dict[int, tuple[int, int]]
    """Type → offset, size."""
    flags: int

    def stream(self, kind: int) -> bytes:
        offset, size = self.streams[kind]
        return self.data[offset : offset + size]

    def json(self, kind: int) -> Any:
        return json.loads(self.stream(kind))

    def string(self, rva: int) -> str:
        (size,) = struct.unpack_from("<I", self.data, rva)
        return self.data[rva + 4 : rva + 4 + size].decode("utf-16-le")

    def memory(self) -> list[tuple[int, int, int]]:
        """Address, size, file offset of every piece, of both lists."""
        pieces = []
        if MEMORY_LIST in self.streams:
            stream = self.stream(MEMORY_LIST)
            (count,) = struct.unpack_from("<I", stream)
            pieces += [struct.unpack_from("<QII", stream, 4 + 16 * n) for n in range(count)]
        if MEMORY64_LIST in self.streams:
            stream = self.stream(MEMORY64_LIST)
            count, rva = struct.unpack_from("<QQ", stream)
            for n in range(count):
                start, size = struct.unpack_from("<QQ", stream, 16 + 16 * n)
                pieces.append((start, size, rva))
                rva += size
        return pieces

    def read(self, address: int, size: int) -> bytes | None:
        """Memory of the process; `None` when it is not in the dump."""
        for start, length, rva in self.memory():
            if start <= address and address + size <= start + length:
                at = rva + address - start
                return self.data[at : at + size]
        return None

    def holds(self, needle: bytes | str) -> bool:
        """Whether the file holds these bytes anywhere; text also as UTF-16."""
        if isinstance(needle, str):
            return self.holds(needle.encode()) or self.holds(needle.encode("utf-16-le"))
        return self.data.find(needle) >= 0


def open_dump(path: Path) -> DumpFile:
    """Map a dump and read its directory; unused entries are left out."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    signature, _, count, directory, _, _, flags = struct.unpack_from("<4sIIIIIQ", data)
    assert signature == b"MDMP"
    entries = [struct.unpack_from("<III", data, directory + 12 * n) for n in range(count)]
    streams = {kind: (rva, size) for kind, size, rva in entries if kind}
    return DumpFile(data=data, streams=streams, flags=flags)
