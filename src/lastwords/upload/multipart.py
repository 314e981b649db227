"""One report as `multipart/form-data`, streamed from the disk.

See docs/formats/report.md, "On the wire". Follows RFC 7578 in the form in which Crashpad's and
Breakpad's clients write it: text parts first, the minidump last, `Content-Length` known before the
first byte. Whatever its size, 64 KiB of a file are in memory at a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.spool.spool import SpooledReport

__all__ = ["MultipartBody", "report_body"]

_CHUNK_BYTES = 64 * 1024
_RESERVED = frozenset(
    ("prod", "ver", "guid", "lastwords_report_id", "report", "upload_file_minidump")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    head: bytes
    text: bytes | None
    path: str | None
    size_bytes: int


class MultipartBody:
    """A request body whose length is known and whose bytes come from `chunks()`.

    Attributes:
        content_type: Value of the `Content-Type` header.
        size_bytes: Value of the `Content-Length` header.
    """

    def __init__(self) -> None:
        self._boundary = "lastwords-" + os.urandom(16).hex()
        self._parts: list[_Part] = []
        self.content_type = f'multipart/form-data; boundary="{self._boundary}"'
        self.size_bytes = len(self._end)

    @property
    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def _head(self, name: str, file_name: str | None, content_type: str | None) -> bytes:
        lines = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if file_name is not None:
            lines += f'; filename="{_quoted(file_name)}"'
        if content_type is not None:
            lines += f"\r\nContent-Type: {content_type}"
        return (lines + "\r\n\r\n").encode()

    def _add(self, part: _Part) -> None:
        self._parts.append(part)
        self.size_bytes += len(part.head) + part.size_bytes + 2

    def add_text(self, name: str, value: str) -> None:
        """Add a text part."""
        text = value.encode("utf-8", "replace")
        head = self._head(name, None, None)
        self._add(_Part(head=head, text=text, path=None, size_bytes=len(text)))

    def add_file(self, name: str, path: str, size_bytes: int, content_type: str) -> None:
        """Add a file part of which exactly `size_bytes` will be sent."""
        head = self._head(name, os.path.basename(path), content_type)
        self._add(_Part(head=head, text=None, path=path, size_bytes=size_bytes))

    def chunks(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            DeliveryError: A file has become shorter, or cannot be read (`delivery_failed`).
        """
        for part in self._parts:
            yield part.head
            if part.text is not None:
                yield part.text
            elif part.path is not None:
                yield from _file_chunks(part.path, part.size_bytes)
            yield b"\r\n"
        yield self._end


def _quoted(name: str) -> str:
    """Escape a name as browsers do (HTML standard, "multipart/form-data")."""
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _file_chunks(path: str, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    try:
        with open(path, "rb") as file:
            while left:
                data = file.read(min(_CHUNK_BYTES, left))
                if not data:
                    break
                left -= len(data)
                yield data
    except OSError as error:
        raise DeliveryError(
            "delivery_failed", f"{path} cannot be read: {error.strerror}"
        ) from error
    if left:
        raise DeliveryError(
            "delivery_failed", f"{path} has become {left} bytes shorter while it was sent"
        )


def report_body(spooled: SpooledReport) -> MultipartBody:
    """Make the body that delivers one report."""
    report = spooled.report
    body = MultipartBody()
    known = (("prod", report.product), ("ver", report.version), ("guid", report.client_id))
    for name, value in known:
        if value is not None:
            body.add_text(name, value)
    body.add_text("lastwords_report_id", spooled.report_id)
    taken = set(_RESERVED)
    files = spooled.files()
    taken.update(name for name, _, _ in files)
    for key, item in report.annotations.items():
        name = f"annotation_{key}" if key in taken else key
        taken.add(name)
        text = str(item).lower() if isinstance(item, bool) else str(item)
        body.add_text(name, text)
    for name, path, size_bytes in files:
        content_type = "application/json" if name == "report" else "application/octet-stream"
        body.add_file(name, path, size_bytes, content_type)
    return body
