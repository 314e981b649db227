"""One delivery: connect, send, read the answer, say what it means.

Every step is bounded: connecting, standing still, and the whole. Redirects are refused, because
consent was given for one address.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from lastwords.errors import DeliveryError

if TYPE_CHECKING:
    from lastwords.upload.multipart import MultipartBody

__all__ = ["Answer", "Timeouts", "check_url", "send"]

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_SERVER_ID = 200
_LOWEST_RATE_BYTES_PER_S = 10_000
_RETRIED_4XX = (408, 429)
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait: for a connection, and while nothing moves; in seconds."""

    connect_s: float = 10.0
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one delivery.

    Attributes:
        outcome: `delivered`, `rejected` (for good) or `failed` (to be tried again).
        server_id: The server's id of the report; `None` when it gave none.
        reason: Why it was not delivered; `None` when it was.
        retry_after_s: What the server asked to wait, in seconds; `None` when it did not.
        is_unreachable: No connection came about, or it stood still, so other reports need not be
            tried now.
    """

    outcome: str
    server_id: str | None = None
    reason: str | None = None
    retry_after_s: float | None = None
    is_unreachable: bool = False


def check_url(url: str) -> str:
    """Return the address if it can be sent to.

    Raises:
        DeliveryError: It is not an http or https address (`delivery_bad_url`).
    """
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number
        is_good = False
    if not is_good or any(char.isspace() or ord(char) < 0x21 for char in url):
        raise DeliveryError(
            "delivery_bad_url",
            f"{url[:200]!r} is not an address to send to",
            "expected something like https://crashes.example.com/submit",
        )
    return url


def _connection(url: str, timeouts: Timeouts) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            host, parts.port, timeout=timeouts.connect_s, context=context
        )
    return http.client.HTTPConnection(host, parts.port, timeout=timeouts.connect_s)


def send(url: str, body: MultipartBody, timeouts: Timeouts) -> Answer:
    """Send one body and read the answer.

    Returns:
        What became of it; network trouble is an answer (`failed`), not an exception.

    Raises:
        DeliveryError: The address is unusable, or a file of the report cannot be read.
    """
    check_url(url)
    connection = _connection(url, timeouts)
    try:
        try:
            connection.connect()
        except (OSError, ValueError) as error:
            return Answer(
                outcome="failed",
                reason=f"no connection to {_shown(url)}: {_words(error)}",
                is_unreachable=True,
            )
        return _talk(connection, url, body, timeouts)
    finally:
        connection.close()


def _talk(
    connection: http.client.HTTPConnection, url: str, body: MultipartBody, timeouts: Timeouts
) -> Answer:
    sock = connection.sock
    sock.settimeout(timeouts.idle_s)
    # A server that sends one byte now and then never stands still: a limit for the whole.
    limit_s = 4 * timeouts.idle_s + body.size_bytes / _LOWEST_RATE_BYTES_PER_S
    watchdog = threading.Timer(limit_s, _shut, (sock,))
    watchdog.daemon = True
    watchdog.start()
    try:
        _write_request(connection, url, body)
        response = connection.getresponse()
        text = response.read(_MAX_ANSWER_BYTES)
        if not _is_whole(response, text):
            return _failed(url, "broke off in the middle of its answer")
        return _understood(url, response, text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        failed = _failed(url, _what_it_did(error))
        return replace(failed, is_unreachable=isinstance(error, TimeoutError))
    finally:
        watchdog.cancel()


def _is_whole(response: http.client.HTTPResponse, text: bytes) -> bool:
    """Whether the answer did not break off.

    `http.client` takes a connection that ends among the headers for the end of the headers (seen
    in CPython 3.11): without a length, only an answer that says something is believed.
    """
    if response.length:
        return len(text) == _MAX_ANSWER_BYTES
    has_end = response.chunked or response.getheader("Content-Length") is not None
    return has_end or bool(text.strip())


def _write_request(connection: http.client.HTTPConnection, url: str, body: MultipartBody) -> None:
    parts = urlsplit(url)
    target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection.putrequest("POST", target, skip_accept_encoding=True)
    connection.putheader("User-Agent", "lastwords")
    connection.putheader("Content-Type", body.content_type)
    connection.putheader("Content-Length", str(body.size_bytes))
    connection.putheader("Connection", "close")
    if parts.username is not None:
        connection.putheader("Authorization", _basic(parts.username, parts.password or ""))
    try:
        connection.endheaders()
        for chunk in body.chunks():
            connection.send(chunk)
    except (BrokenPipeError, ConnectionResetError):
        # It may have answered, for example 413, before it had read everything: look.
        return


def _basic(user: str, password: str) -> str:
    import base64
    from urllib.parse import unquote

    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _understood(url: str, response: http.client.HTTPResponse, text: bytes) -> Answer:
    status = response.status
    line = _printable(text.decode("utf-8", "replace").strip())
    if status == 200:
        # A hotel's log-in page also answers 200; a collector answers with one line.
        if line.startswith("<") or _UNPRINTABLE in line or len(line) > _MAX_SERVER_ID:
            return _failed(url, "answered 200 with something that is not a report id")
        return Answer(outcome="delivered", server_id=line.removeprefix("CrashID=") or None)
    said = _printable(f"answered {status} {response.reason}"[:100])
    said += f": {line[:200]}" if line else ""
    if 300 <= status < 400:
        return _failed(url, f"wanted to redirect ({status}), which is refused; correct the url")
    if 400 <= status < 500 and status not in _RETRIED_4XX:
        return Answer(outcome="rejected", reason=f"{_shown(url)} {said}")
    return _failed(url, said, _retry_after(response.getheader("Retry-After")))


def _failed(url: str, what: str, retry_after_s: float | None = None) -> Answer:
    return Answer(outcome="failed", reason=f"{_shown(url)} {what}", retry_after_s=retry_after_s)


def _retry_after(value: str | None) -> float | None:
    if value is None or not value.strip().isdecimal() or len(value) > 9:
        return None
    return min(float(value), 86_400.0)


def _shown(url: str) -> str:
    """The address without user name, password and query, for messages."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _printable(text: str) -> str:
    """Text of a server, fit for a log and a terminal: it may hold escape sequences."""
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in text)


def _what_it_did(error: BaseException) -> str:
    """What a server did that broke a delivery off; continues a sentence that its address begins."""
    if isinstance(error, TimeoutError):
        return "stood still for too long"
    if isinstance(error, http.client.RemoteDisconnected):
        return "closed the connection without an answer"
    if isinstance(error, ConnectionError):
        return f"broke the connection off ({_words(error)})"
    if isinstance(error, http.client.HTTPException):
        return f"did not answer as a web server does ({type(error).__name__})"
    return f"could not be talked to ({_words(error)})"


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    text = getattr(error, "strerror", None) or str(error)
    return _printable(f"{type(error).__name__}: {text}"[:300])
