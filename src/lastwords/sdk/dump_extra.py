"""What an `on_dump()` function adds to dumps, checked as it is added."""

from __future__ import annotations

from lastwords.errors import CaptureError

__all__ = ["DumpExtra"]

_MAX_RANGES = 64
_MAX_MEMORY = 64 * 1024 * 1024
_MAX_STREAMS = 16
_MAX_STREAM_BYTES = 65_536
_FIRST_FREE_TYPE = 0x10000
"""The specification keeps what is below (`LastReservedStream`, `minidumpapiset.h`)."""
_TAKEN_TYPES = (0x4767, 0x4350, 0x4D7A, 0x4C57)
"""High halves of the types of Breakpad, Crashpad, Mozilla and lastwords."""
_END_OF_MEMORY = 1 << 64
_FULL_RO = 0x11C
"""`PyBUF_FULL_RO` (`Include/cpython/object.h`, stable ABI since 3.11)."""


class DumpExtra:
    """Collects memory and streams for the dumps of this process.

    What cannot be kept is left out and warned about (`addition_rejected`); nothing raises.
    """

    __slots__ = ("_buffers", "memory", "problems", "streams")

    def __init__(self) -> None:
        self.memory: list[tuple[int, int]] = []
        """Address, bytes."""
        self.streams: list[tuple[int, bytes]] = []
        """Stream type, content."""
        self.problems: list[CaptureError] = []
        self._buffers: list[memoryview] = []

    def add_memory(self, address: int, size: int) -> None:
        """Have a range of this process's memory in every dump, as it is when the dump is made.

        Args:
            address: Where it begins. That it is still there at a crash is the caller's business;
                memory that is not is left out of the dump, with a soft error.
            size: Bytes; at most 64 MiB of all 64 ranges.
        """
        if not _is_int(address) or not _is_int(size) or not 0 < size <= _END_OF_MEMORY - address:
            self._reject(f"memory of {size!r:.40} bytes at {address!r:.40} is no range of memory")
        elif address < 0 or len(self.memory) >= _MAX_RANGES:
            self._reject(f"memory at {address:#x}: {_MAX_RANGES} ranges from 0 on can be kept")
        elif sum(length for _, length in self.memory) + size > _MAX_MEMORY:
            self._reject(f"{size} bytes at {address:#x} do not fit: 64 MiB in all can be kept")
        else:
            self.memory.append((int(address), int(size)))

    def add_buffer(self, buffer: object) -> None:
        """Have the memory of a buffer in every dump (`bytearray`, `array`, NumPy's arrays).

        The buffer is kept alive, and cannot be resized, until the next answer replaces this one.

        Args:
            buffer: What has the buffer protocol and is contiguous; counts as `add_memory()`.
        """
        try:
            view = memoryview(buffer)  # type: ignore[arg-type]  # checked by the call itself
        except Exception as error:  # noqa: BLE001  (foreign code: `__buffer__`)
            self._reject(f"a {type(buffer).__name__} is no buffer: {type(error).__name__}")
            return
        if not view.contiguous:
            self._reject(f"a {type(buffer).__name__} with gaps cannot be kept")
            return
        if view.nbytes == 0:
            return
        try:
            address = _address(view)
        except Exception as error:  # noqa: BLE001  (an interpreter without `ctypes`)
            self._reject(f"the address of a {type(buffer).__name__} is not known: {error}")
            return
        before = len(self.memory)
        self.add_memory(address, view.nbytes)
        if len(self.memory) > before:
            self._buffers.append(view)

    def add_stream(self, stream_type: int, data: bytes | bytearray | memoryview) -> None:
        """Have a stream of your own in every dump.

        Args:
            stream_type: 0x10000 or more, and none of those whose upper 16 bits are 0x4767
                (Breakpad), 0x4350 (Crashpad), 0x4D7A (Mozilla) or 0x4C57 (lastwords).
            data: Its bytes, copied now; at most 65,536 of all 16 streams.
        """
        content: object = data
        if not _is_int(stream_type) or not _FIRST_FREE_TYPE <= stream_type < 1 << 32:
            self._reject(f"stream type {stream_type!r:.40}: expected 0x10000 to 0xFFFFFFFF")
        elif stream_type >> 16 in _TAKEN_TYPES:
            self._reject(f"stream type {stream_type:#x} belongs to others")
        elif any(stream_type == kind for kind, _ in self.streams):
            self._reject(f"stream {stream_type:#x} was added already")
        elif not isinstance(content, (bytes, bytearray, memoryview)):
            self._reject(f"stream {stream_type:#x} is a {type(content).__name__}, expected bytes")
        elif len(self.streams) >= _MAX_STREAMS:
            self._reject(f"stream {stream_type:#x}: {_MAX_STREAMS} streams can be kept")
        elif sum(len(kept) for _, kept in self.streams) + memoryview(content).nbytes > (
            _MAX_STREAM_BYTES
        ):
            self._reject(f"stream {stream_type:#x} does not fit: 65,536 bytes in all can be kept")
        else:
            self.streams.append((int(stream_type), bytes(content)))

    def _reject(self, message: str) -> None:
        if len(self.problems) < _MAX_RANGES:
            message = f"on_dump(): {message}; it will be missing in dumps"
            hint = "extra.add_stream(0x10001, b'...'), extra.add_memory(address, size)"
            self.problems.append(CaptureError("addition_rejected", message, hint))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _address(view: memoryview) -> int:
    """Where a contiguous buffer begins.

    By `PyObject_GetBuffer`, which the stable ABI has from 3.11 on only; the structure is that of
    `Include/cpython/object.h`, the same from 3.0 on.
    """
    import ctypes

    class Buffer(ctypes.Structure):
        _fields_ = (
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.c_void_p),
            ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t),
            ("readonly", ctypes.c_int),
            ("ndim", ctypes.c_int),
            ("rest", ctypes.c_void_p * 5),
        )

    # By item: a function of our own, whose argument types nobody shares.
    get, release = ctypes.pythonapi["PyObject_GetBuffer"], ctypes.pythonapi["PyBuffer_Release"]
    get.argtypes = (ctypes.py_object, ctypes.POINTER(Buffer), ctypes.c_int)
    release.argtypes = (ctypes.POINTER(Buffer),)
    release.restype = None
    buffer = Buffer()
    get(view, ctypes.byref(buffer), _FULL_RO)
    try:
        return int(buffer.buf or 0)
    finally:
        release(ctypes.byref(buffer))
