"""Unpacking gzip and deflate in bounded memory, with a cap on size and on growth."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from lastwords.collector.accept import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.collector.limits import CollectorLimits

__all__ = ["Inflater", "has_encoding"]

_PIECE_BYTES = 256 << 10
_AUTO_DETECT_GZIP_ZLIB = zlib.MAX_WBITS | 32
_RAW = -zlib.MAX_WBITS
_PADDING = b"\0"  # gzip allows zeros between its members


def has_encoding(header: str) -> bool:
    """Whether a Content-Encoding asks for unpacking.

    Raises:
        Refusal: `bad_content_encoding`, for an encoding that is not known here.
    """
    encoding = header.strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding in ("gzip", "x-gzip", "deflate"):
        return True
    raise Refusal("bad_content_encoding", encoding[:100])


class Inflater:
    """One compressed stream: gzip (one member or several), zlib, or raw deflate.

    "deflate" means zlib by RFC 9110, but some clients send the raw stream; which one it is shows in
    the first bytes. Yields at most 256 KiB at a time, whatever comes in.

    Args:
        limits: `decoded_bytes`, `ratio` and `ratio_from_bytes` count.
        reason: The reason of the refusal when the stream is damaged or cut.
    """

    def __init__(self, limits: CollectorLimits, *, reason: str = "bad_compression") -> None:
        self._limits = limits
        self._reason = reason
        self._engine: zlib._Decompress | None = None
        self._head = b""
        self._in_bytes = 0
        self._out_bytes = 0
        self._is_first_member_done = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack `chunk`; the iterator must be used up before the next call.

        Raises:
            Refusal: damaged, too large, or growing too much.
        """
        self._in_bytes += len(chunk)
        rest = self._begin(chunk)
        while rest:
            if self._engine is None:
                self._engine = zlib.decompressobj(_AUTO_DETECT_GZIP_ZLIB)
            try:
                piece = self._engine.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise Refusal(self._reason, str(error)) from error
            rest = self._rest(self._engine)
            if piece:
                self._count(len(piece))
                yield piece

    def finish(self) -> None:
        """Check that the stream came to its end.

        Raises:
            Refusal: it is cut.
        """
        is_between_members = self._engine is None and self._is_first_member_done
        if not is_between_members:
            raise Refusal(self._reason, "the compressed stream is cut")

    def _begin(self, chunk: bytes) -> bytes:
        if self._engine is not None:
            return chunk
        if self._is_first_member_done:
            return chunk.lstrip(_PADDING)
        self._head += chunk
        if len(self._head) < 2:
            return b""
        head, self._head = self._head, b""
        self._engine = zlib.decompressobj(_window_bits(head))
        return head

    def _rest(self, engine: zlib._Decompress) -> bytes:
        """Return what is still to unpack of the input, and begin a new member where one ends."""
        if not engine.eof:
            return engine.unconsumed_tail
        self._engine = None
        self._is_first_member_done = True
        return engine.unused_data.lstrip(_PADDING)

    def _count(self, size: int) -> None:
        self._out_bytes += size
        if self._out_bytes > self._limits.decoded_bytes:
            raise Refusal("decoded_too_large", f"more than {self._limits.decoded_bytes} bytes")
        is_large = self._out_bytes > self._limits.ratio_from_bytes
        if is_large and self._out_bytes > self._limits.ratio * self._in_bytes:
            raise Refusal("suspicious_ratio", f"{self._in_bytes} to {self._out_bytes} bytes")


def _window_bits(head: bytes) -> int:
    is_gzip = head[:2] == b"\x1f\x8b"
    is_zlib = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0  # RFC 1950, 2.2
    return _AUTO_DETECT_GZIP_ZLIB if is_gzip or is_zlib else _RAW
