"""What tests of several rooms need: a home of their own, the corpus, and a server that answers
as told."""

from __future__ import annotations

import contextlib
import email
import http.server
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from corpus_folder import corpus_source, unpacked

from lastwords.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lastwords.store import Store


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Path:
    """The unpacked corpus; its tests are skipped where there is none."""
    source = corpus_source()
    if not source.exists():
        pytest.skip(f"no corpus at {source}; set LASTWORDS_CORPUS")
    return unpacked(source, request.config.cache.mkdir("corpus"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of its own: nothing of the user's is read or written."""
    for name in [name for name in os.environ if name.startswith("LASTWORDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of its own."""
    opened = open_store(tmp_path / "data", is_owner=True)
    yield opened
    opened.close()


@dataclass
class Request:
    """One request as the server saw it, taken apart by the standard library's mail parser."""

    path: str
    headers: dict[str, str]
    body: bytes

    def parts(self) -> dict[str, bytes]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body)
        assert message.is_multipart()
        found = {}
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")
            assert name not in found, f"part {name} is there twice"
            found[name] = part.get_payload(decode=True)
        return found

    def part_names(self) -> list[str]:
        return list(self.parts())


@dataclass
class Answering:
    """A server whose behaviour is one of the methods of `_Handler`, or a list of them in turn."""

    url: str = ""
    behaviours: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def next_behaviour(self) -> str:
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answering: Answering

    def do_POST(self) -> None:
        name, _, argument = self.answering.next_behaviour().partition(" ")
        getattr(self, name)(argument)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.answering.requests.append(Request(self.path, headers, body))

    def answer(self, argument: str) -> None:
        """Read everything and answer with `STATUS BODY`."""
        self._take()
        status, _, text = argument.partition(" ")
        self._say(int(status), text)

    def _say(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def refuse_early(self, argument: str) -> None:
        """Answer 413 without reading, as a proxy with a limit does."""
        self._say(413, "too large")

    def redirect(self, argument: str) -> None:
        self._take()
        self._say(302, "", Location=argument)

    def wait(self, argument: str) -> None:
        """Ask to come back after so many seconds."""
        self._take()
        self._say(429, "slow down", Retry_After=argument)

    def hang(self, argument: str) -> None:
        self.answering.is_over.wait(60)

    def drip(self, argument: str) -> None:
        """Send one byte of an endless header now and then."""
        self._take()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        with contextlib.suppress(OSError):  # the client has gone away
            while not self.answering.is_over.wait(0.05):
                self.wfile.write(b"x")

    def reset(self, argument: str) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def close_early(self, argument: str) -> None:
        self._take()

    def truncate(self, argument: str) -> None:
        """Promise 100 bytes and send 8."""
        self._take()
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"CrashID=")

    def garble(self, argument: str) -> None:
        self._take()
        self.wfile.write(b"SMTP ready\r\n\r\n")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Answering]]:
    """Start a server: `serve("answer 500 sorry", "answer 200 id-1")`; the last one repeats."""
    running: list[tuple[_Server, Answering]] = []

    def start(*behaviours: str) -> Answering:
        answering = Answering(behaviours=list(behaviours))
        handler = type("Handler", (_Handler,), {"answering": answering})
        server = _Server(("127.0.0.1", 0), handler)
        answering.url = f"http://127.0.0.1:{server.server_address[1]}/submit"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append((server, answering))
        return answering

    yield start
    for server, answering in running:
        answering.is_over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def unused_url() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/submit"
