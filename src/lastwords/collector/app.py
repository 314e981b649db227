"""The ASGI callable that takes reports in.

`POST /submit` answers as Socorro's collector (`CrashID=bp-…`), the other addresses with the bare
id, which Crashpad and Breakpad clients keep as the report's name. Every answer that accepts is 200
and comes after the report is durable.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from lastwords.collector.accept import Refusal
from lastwords.collector.commit import GroupCommit
from lastwords.collector.intake import Body, ClientGone, read_form
from lastwords.collector.limits import CollectorLimits
from lastwords.collector.new_report import new_report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lastwords.store import AcceptedReport, Store

__all__ = ["Collector"]

_LOG = logging.getLogger("lastwords.collector")
_PATHS = re.compile(r"/|/submit/?|/upload/?|/api/[^/]{1,64}/minidump/?")
_SOCORRO = "/submit"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Collector:
    """Takes reports in over HTTP.

    Args:
        store: Where they go.
        limits: What is accepted.
        on_accepted: Called in the event loop after new reports are durable; must not block.
    """

    def __init__(
        self,
        store: Store,
        limits: CollectorLimits | None = None,
        *,
        on_accepted: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._limits = limits or CollectorLimits()
        self._on_accepted = on_accepted
        self._commit = GroupCommit(store.accept_reports)
        self._uploads = asyncio.Semaphore(self._limits.uploads)
        self._disk = ThreadPoolExecutor(max_workers=8, thread_name_prefix="lastwords-disk")

    def takes(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request is the collector's: POST to its addresses; all methods but for `/`."""
        path: str = scope["path"]
        is_post = scope["method"] == "POST"
        return bool(_PATHS.fullmatch(path)) and (is_post or path != "/")

    def close(self) -> None:
        """End the threads; deliveries under way must have ended."""
        self._disk.shutdown(wait=True)

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request (ASGI 3)."""
        body = Body(receive, self._limits)
        headers = _headers(scope)
        try:
            async with self._uploads:
                accepted = await self._take(scope, headers, body)
            await _answer(send, 200, _id_text(scope["path"], accepted.report_id))
        except ClientGone:
            _LOG.info("client gone", extra={"received_bytes": body.size_bytes})
        except Refusal as refusal:
            await self._refuse(refusal, headers, body, send)
        except Exception as error:  # noqa: BLE001  (border: one request must not end the server)
            await self._refuse(_own_fault(error), headers, body, send)

    async def _take(
        self, scope: Mapping[str, Any], headers: Mapping[str, str], body: Body
    ) -> AcceptedReport:
        if scope["method"] != "POST":
            raise Refusal("method", scope["method"][:20])
        if self._store.blobs.free_bytes() < self._limits.min_free_bytes:
            raise Refusal("disk_full")
        form = await read_form(headers, body, self._store.blobs, self._limits)
        try:
            with self._store.blobs.adding():
                loop = asyncio.get_running_loop()
                report = await loop.run_in_executor(self._disk, new_report, form, _query(scope))
                accepted = await self._commit.add(report)
        finally:
            form.discard()
        _LOG.info(
            "accepted",
            extra={"report_id": accepted.report_id, "is_duplicate": accepted.is_duplicate},
        )
        if not accepted.is_duplicate:
            self._on_accepted()
        return accepted

    async def _refuse(
        self,
        refusal: Refusal,
        headers: Mapping[str, str],
        body: Body,
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        _LOG.warning("refused", extra={"reason": refusal.reason, "detail": refusal.detail})
        awaits_go = "expect" in headers and not body.is_begun
        try:
            if not awaits_go and refusal.reason != "too_slow":  # else nothing more will come
                await body.drain()
            await _answer(send, refusal.status, refusal.body)
        except ClientGone:
            return


def _own_fault(error: Exception) -> Refusal:
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return Refusal("disk_full", str(error))
    _LOG.error("a delivery failed", exc_info=error)
    return Refusal("server_fault", type(error).__name__)


def _id_text(path: str, report_id: str) -> bytes:
    if path.rstrip("/") == _SOCORRO:
        return f"CrashID=bp-{report_id}\n".encode()
    return report_id.encode()


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _query(scope: Mapping[str, Any]) -> dict[str, str]:
    text = scope.get("query_string", b"").decode("ascii", "replace")
    try:
        return dict(parse_qsl(text, max_num_fields=100))
    except ValueError:
        return {}


async def _answer(
    send: Callable[[dict[str, Any]], Awaitable[None]], status: int, body: bytes
) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
