"""A page of somebody else cannot read the reports through a name of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lastwords.web.host_guard import LoopbackHosts


async def _pages(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"all reports"})


def _ask(*hosts: bytes) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "headers": [(b"host", host) for host in hosts]}
    asyncio.run(LoopbackHosts(_pages)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:8311", b"localhost", b"LOCALHOST:80", b"[::1]:8311", b"127.1.2.3"]
)
def test_this_machine_is_answered(host: bytes) -> None:
    assert _ask(host) == (200, b"all reports")


@pytest.mark.parametrize(
    "hosts",
    [
        (b"evil.example:8311",),
        (b"127.0.0.1.evil.example",),
        (b"localhost.evil.example",),
        (b"",),
        (),
        (b"localhost", b"evil.example"),
        (b"192.168.1.7",),
    ],
)
def test_any_other_name_is_refused(hosts: tuple[bytes, ...]) -> None:
    status, body = _ask(*hosts)
    assert status == 421
    assert b"all reports" not in body


def test_what_is_no_request_passes() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    asyncio.run(LoopbackHosts(app)({"type": "lifespan"}, None, None))
    assert seen == [{"type": "lifespan"}]
