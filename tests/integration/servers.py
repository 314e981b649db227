"""Servers that do not do what they should."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _answer_500(connection: socket.socket) -> None:
    connection.settimeout(5)
    while b"\r\n\r\n" not in connection.recv(65536):
        pass
    connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def _reset(connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _hang(connection: socket.socket) -> None:
    connection.settimeout(60)
    while connection.recv(65536):
        pass


BEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    "answers 500": _answer_500,
    "resets": _reset,
    "hangs": _hang,
}


@contextmanager
def bad_server(behaviour: str) -> Iterator[str]:
    """Address of a server that behaves badly; `down` is an address where nobody listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/submit"
    if behaviour == "down":
        listener.close()
        yield url
        return

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test has ended
            threading.Thread(target=_behave, args=(behaviour, connection), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield url
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _behave(behaviour: str, connection: socket.socket) -> None:
    try:
        BEHAVIOURS[behaviour](connection)
    except OSError:
        pass  # the client was quicker
    finally:
        connection.close()
