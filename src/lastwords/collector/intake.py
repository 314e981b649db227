"""The way of a request's body: flow control, time limits, unpacking, the form."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from lastwords.collector.accept import Refusal
from lastwords.collector.form import Form, FormReader, RawDumpReader, boundary_of
from lastwords.collector.inflate import Inflater, has_encoding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from lastwords.collector.limits import CollectorLimits
    from lastwords.store import Blobs

__all__ = ["Body", "ClientGone", "read_form"]

_RAW_TYPES = ("application/octet-stream", "application/x-dmp", "application/x-minidump")
_YIELD_BYTES = 1 << 20


class ClientGone(Exception):  # noqa: N818  (nobody is left to answer)
    """The client closed the connection before its request was complete."""


class _Reader(Protocol):
    form: Form

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> Form: ...


class Body:
    """The bytes of a request as they arrive, with limits on size and on slowness."""

    def __init__(
        self, receive: Callable[[], Awaitable[Mapping[str, Any]]], limits: CollectorLimits
    ) -> None:
        self._receive = receive
        self._limits = limits
        self._started_s = time.monotonic()
        self.is_begun = False
        self.is_ended = False
        self.size_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises `Refusal` and `ClientGone`."""
        while not self.is_ended:
            chunk = await self._next(self._limits.idle_s)
            if self.size_bytes > self._limits.body_bytes:
                raise Refusal("body_too_large", f"more than {self._limits.body_bytes} bytes")
            self._check_rate()
            if chunk:
                yield chunk

    async def drain(self) -> None:
        """Read on for a moment without use, so that the client comes to read the answer."""
        deadline_s = time.monotonic() + self._limits.drain_s
        until_bytes = self.size_bytes + self._limits.drain_bytes
        while not self.is_ended and self.size_bytes < until_bytes:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            try:
                await self._next(left_s)
            except Refusal:
                return

    async def _next(self, timeout_s: float) -> bytes:
        self.is_begun = True
        try:
            message = await asyncio.wait_for(self._receive(), timeout_s)
        except asyncio.TimeoutError as error:
            raise Refusal("too_slow", f"nothing came for {timeout_s:.0f} s") from error
        if message["type"] == "http.disconnect":
            self.is_ended = True
            raise ClientGone
        self.is_ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        self.size_bytes += len(chunk)
        return chunk

    def _check_rate(self) -> None:
        took_s = time.monotonic() - self._started_s
        if (
            took_s > self._limits.slow_after_s
            and self.size_bytes < took_s * self._limits.slow_bytes_per_s
        ):
            raise Refusal("too_slow", f"{self.size_bytes} bytes in {took_s:.0f} s")


async def read_form(
    headers: Mapping[str, str], body: Body, blobs: Blobs, limits: CollectorLimits
) -> Form:
    """Read a whole delivery; the caller keeps or discards the form's files.

    Raises:
        Refusal: the delivery is not acceptable; nothing of it is left on the disk.
        ClientGone: it is incomplete; nothing of it is left on the disk.
    """
    _check_length(headers, limits)
    inflater = Inflater(limits) if has_encoding(headers.get("content-encoding", "")) else None
    reader = _reader(headers, blobs, limits)
    is_complete = False
    try:
        async for chunk in body.chunks():
            await _feed(reader, chunk, inflater)
        if inflater is not None:
            inflater.finish()
        form = reader.finish()
        is_complete = True
    finally:
        if not is_complete:
            reader.form.discard()
    return form


def _reader(headers: Mapping[str, str], blobs: Blobs, limits: CollectorLimits) -> _Reader:
    content_type = headers.get("content-type")
    if content_type is not None and content_type.partition(";")[0].strip().lower() in _RAW_TYPES:
        return RawDumpReader(blobs, limits)
    return FormReader(boundary_of(content_type), blobs, limits)


async def _feed(reader: _Reader, chunk: bytes, inflater: Inflater | None) -> None:
    if inflater is None:
        reader.feed(chunk)
        return
    since_yield = 0
    for piece in inflater.feed(chunk):
        reader.feed(piece)
        since_yield += len(piece)
        if since_yield > _YIELD_BYTES:  # other clients are served while much is unpacked
            since_yield = 0
            await asyncio.sleep(0)


def _check_length(headers: Mapping[str, str], limits: CollectorLimits) -> None:
    """Refuse early what says itself that it is too large."""
    length = headers.get("content-length")
    if length is None:
        return
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise Refusal("bad_content_length", length[:100])
    if int(length) > limits.body_bytes:
        raise Refusal("body_too_large", f"{length} of at most {limits.body_bytes} bytes")
