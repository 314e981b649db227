"""A server of symbols on loopback, that does what a test tells it, and files to serve."""

from __future__ import annotations

import contextlib
import http.server
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYM_ID = "4C4C44505555314DA1AB6E2AD2FCDF740"
SYM = f"MODULE Linux x86_64 {SYM_ID} libapp.so\nFUNC 1000 10 0 run\n".encode()
STAMP = "5F3759DF2000"
"""Time stamp and size of `pe_image()`."""


@dataclass
class Answers:
    """What a server knows, and what it was asked.

    Attributes:
        files: Path → bytes.
        before: Path → what is done instead of answering, until it says no.
        etag: Of all files; `None` = none.
        ranges: Whether parts are given.
        asked: Path and `Range` header of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    before: dict[str, Callable[[http.server.BaseHTTPRequestHandler], bool]] = field(
        default_factory=dict
    )
    etag: str | None = '"one"'
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    cookies: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextlib.contextmanager
def serve() -> Iterator[Answers]:
    """Run a server; its answers may be changed while it runs."""
    answers = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked_range = self.headers.get("Range")
            answers.asked.append((self.path, asked_range))
            answers.cookies.extend(self.headers.get_all("Cookie") or ())
            before = answers.before.get(self.path)
            if before is not None and before(self):
                return
            body = answers.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self._send(body, asked_range)

        def _send(self, body: bytes, asked_range: str | None) -> None:
            start = 0
            is_same = self.headers.get("If-Range") == answers.etag
            if asked_range and answers.ranges and is_same:
                start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            if answers.etag:
                self.send_header("ETag", answers.etag)
            self.send_header("Set-Cookie", "tracked=yes")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start:])

        def log_message(self, *_args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            """A client that goes away is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        answers.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()


def status_once(*codes: int) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    """Answer with these statuses, one a request, then as usual."""
    left = list(codes)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if not left:
            return False
        handler.send_error(left.pop(0))
        return True

    return answer


def cut_once(body: bytes, at: int, etag: str = '"one"') -> Callable[..., bool]:
    """Promise the whole file the first time, and break off."""
    left = [True]

    def answer(handler: http.server.BaseHTTPRequestHandler) -> bool:
        if not left:
            return False
        left.pop()
        handler.send_response(200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:at])
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
        return True

    return answer


def redirect(to: str) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> bool:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    return answer


def silent(until: threading.Event) -> Callable[[http.server.BaseHTTPRequestHandler], bool]:
    """Say nothing until the test ends."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> bool:
        until.wait(60)
        handler.close_connection = True
        return True

    return answer


def endless(handler: http.server.BaseHTTPRequestHandler) -> bool:
    """More bytes than anybody wants, without saying how many."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 20))
    handler.close_connection = True
    return True


def pe_image(time_stamp: int = 0x5F3759DF, size: int = 0x2000) -> bytes:
    """The smallest x86-64 image that has headers and one section."""
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    file_header = struct.pack("<HHIIIHH", 0x8664, 1, time_stamp, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0x200, 0, 0, 0x1000, 0x1000)
    optional += struct.pack("<QIIHHHHHHI", 0x140000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0)
    optional += struct.pack(
        "<IIIHHQQQQII", size, 0x200, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16
    )
    optional = optional.ljust(240, b"\0")
    section = struct.pack(
        "<8sIIIIIIHHI", b".text", 16, 0x1000, 0x200, 0x200, 0, 0, 0, 0, 0x60000020
    )
    head = dos + b"PE\0\0" + file_header + optional + section
    return head.ljust(0x200, b"\0") + b"\xc3".ljust(0x200, b"\xcc")


def cabinet(name: str, content: bytes) -> bytes:
    """A cabinet with one file that is not compressed (Microsoft, "Cabinet File Format")."""
    chunks = [content[at : at + 0x8000] for at in range(0, len(content), 0x8000)]
    file = struct.pack("<IIHHHH", len(content), 0, 0, 0, 0, 0x20) + name.encode() + b"\0"
    data = b"".join(struct.pack("<IHH", 0, len(one), len(one)) + one for one in chunks)
    files_at = 36 + 8
    data_at = files_at + len(file)
    folder = struct.pack("<IHH", data_at, len(chunks), 0)
    size = data_at + len(data)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, size, 0, files_at, 0, 3, 1, 1, 1, 0, 0, 0)
    return head + folder + file + data
