"""Keeps other people's web pages out of a server that listens on this machine only.

A page on the web can point a name of its own at 127.0.0.1 (DNS rebinding) and would then read all
reports through the visitor's browser, because to the browser it is the same origin. Its requests
carry the foreign name in `Host`; ours carry `localhost` or a loopback address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["LoopbackHosts"]

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

_BODY = (
    b"this server answers only to localhost and 127.0.0.1; the request was sent to another name\n"
)


class LoopbackHosts:
    """Passes requests for this machine on, answers others with 421 (RFC 9110, 15.5.20).

    Args:
        app: The ASGI application that is guarded.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] == "http" and not _is_loopback(_host(scope)):
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(_BODY)).encode()),
            ]
            await send({"type": "http.response.start", "status": 421, "headers": headers})
            await send({"type": "http.response.body", "body": _BODY})
            return
        await self._app(scope, receive, send)


def _host(scope: MutableMapping[str, Any]) -> str:
    values = [value for name, value in scope["headers"] if name == b"host"]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _is_loopback(host: str) -> bool:
    """Whether a `Host` value (`name`, `name:port`, `[::1]:port`) names this machine."""
    closing, separator = ("]", "[") if host.startswith("[") else (":", "")
    name = host.partition(closing)[0].removeprefix(separator)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower().rstrip(".") == "localhost"
