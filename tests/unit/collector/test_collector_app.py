"""The ASGI callable: slow clients, full disks, faults of its own, many at once."""

from __future__ import annotations

import asyncio
import errno
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from lastwords.collector import Collector, CollectorLimits
from lastwords.collector.commit import GroupCommit
from lastwords.collector.new_report import new_report_id
from lastwords.store import AcceptedReport, NewReport, Store, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

BODY = (
    b'--B\r\nContent-Disposition: form-data; name="prod"\r\n\r\nsim\r\n'
    b'--B\r\nContent-Disposition: form-data; name="upload_file_minidump"; filename="d"\r\n\r\n'
    b"MDMP....\r\n--B--\r\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path, is_owner=True)
    yield opened
    opened.close()


def deliver(
    collector: Collector,
    receive: Callable[[], Awaitable[dict[str, Any]]] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes] | None:
    """Call the ASGI callable once; `None` when it answered nothing."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def whole() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    all_headers = {"content-type": "multipart/form-data; boundary=B", **(headers or {})}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/submit",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in all_headers.items()],
    }
    asyncio.run(collector(scope, receive or whole, send))
    collector.close()
    if not sent:
        return None
    start, body = sent
    return start["status"], body["body"]


def slowly(chunks: AsyncIterator[bytes]) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        chunk = await anext(chunks, None)
        if chunk is None:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": chunk, "more_body": True}

    return receive


def test_new_reports_are_announced_and_repeated_ones_are_not(store: Store) -> None:
    calls: list[int] = []
    for _ in range(2):
        answer = deliver(Collector(store, on_accepted=lambda: calls.append(1)))
        assert answer is not None
        assert answer[0] == 200
    assert calls == [1]


def test_silent_client_is_given_up_with_a_transient_answer(store: Store) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield BODY[:100]
        await asyncio.sleep(30)

    limits = CollectorLimits(idle_s=0.05, drain_s=30)
    started_s = time.monotonic()
    answer = deliver(Collector(store, limits), slowly(chunks()))
    assert time.monotonic() - started_s < 5
    assert answer is not None
    assert answer[0] == 503
    assert answer[1].startswith(b"Unavailable=too_slow\n")
    assert list(store.blobs.incoming.iterdir()) == []


def test_trickling_client_is_given_up_too(store: Store) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    limits = CollectorLimits(slow_after_s=0.1, drain_s=30)
    answer = deliver(Collector(store, limits), slowly(chunks()))
    assert answer is not None
    assert answer[1].startswith(b"Unavailable=too_slow\n")


def test_endless_body_is_refused_at_its_limit(store: Store) -> None:
    sent = 0

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += 65536
        return {"type": "http.request", "body": BODY[:200] + bytes(65336), "more_body": True}

    limits = CollectorLimits(body_bytes=1 << 20, drain_bytes=1 << 20, drain_s=5)
    answer = deliver(Collector(store, limits), receive)
    assert answer is not None
    assert answer[0] == 413
    assert sent < 3 << 20
    assert list(store.blobs.incoming.iterdir()) == []


def test_little_free_space_is_a_transient_answer(store: Store) -> None:
    answer = deliver(Collector(store, CollectorLimits(min_free_bytes=1 << 62, drain_s=0.1)))
    assert answer == (
        503,
        b"Unavailable=disk_full\nthe server has too little free space; send it later\n",
    )
    assert store.reports() == []


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (OSError(errno.ENOSPC, "no space"), 503, b"Unavailable=disk_full"),
        (OSError(errno.EIO, "broken disk"), 500, b"Unavailable=server_fault"),
        (RuntimeError("a defect with a /secret/path"), 500, b"Unavailable=server_fault"),
    ],
)
def test_own_faults_are_never_the_clients(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, line: bytes
) -> None:
    def fail(_new: Sequence[NewReport]) -> list[AcceptedReport]:
        raise error

    monkeypatch.setattr(store, "accept_reports", fail)
    answer = deliver(Collector(store))
    assert answer is not None
    assert answer[0] == status
    assert answer[1].splitlines()[0] == line
    assert b"secret" not in answer[1]


def test_client_that_is_gone_gets_no_answer(store: Store) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert deliver(Collector(store), receive) is None


def test_report_id_is_a_uuid_7_that_ends_in_the_date() -> None:
    ids = [new_report_id() for _ in range(200)]
    assert len(set(ids)) == 200
    for report_id in ids:
        value = UUID(report_id)
        assert (value.version, value.variant) == (7, "specified in RFC 4122")
        seconds = (value.int >> 80) / 1000
        assert abs(seconds - time.time()) < 60
        date = datetime.fromtimestamp(seconds, timezone.utc).strftime("%y%m%d")
        assert re.fullmatch(rf".*0{date}", report_id)


def report(name: str) -> NewReport:
    return NewReport(
        report_id=name,
        identity=None,
        client_report_id=None,
        received=datetime.now(timezone.utc),
        product=None,
        version=None,
        client_id=None,
        blobs=(),
        annotations=(),
    )


def test_reports_that_wait_are_written_together_and_answered_apart() -> None:
    batches: list[int] = []

    def write(new: Sequence[NewReport]) -> list[AcceptedReport]:
        batches.append(len(new))
        time.sleep(0.05)
        return [AcceptedReport(report_id=one.report_id, is_duplicate=False) for one in new]

    async def run() -> list[AcceptedReport]:
        commit = GroupCommit(write)
        return await asyncio.gather(*(commit.add(report(str(n))) for n in range(50)))

    answers = asyncio.run(run())
    assert [one.report_id for one in answers] == [str(n) for n in range(50)]
    assert len(batches) <= 3


def test_bad_report_fails_alone() -> None:
    def write(new: Sequence[NewReport]) -> list[AcceptedReport]:
        if any(one.report_id == "bad" for one in new):
            raise ValueError("bad")
        return [AcceptedReport(report_id=one.report_id, is_duplicate=False) for one in new]

    async def run() -> list[AcceptedReport | BaseException]:
        commit = GroupCommit(write)
        names = ["a", "b", "bad", "c"]
        return await asyncio.gather(
            *(commit.add(report(name)) for name in names), return_exceptions=True
        )

    a, b, bad, c = asyncio.run(run())
    assert isinstance(bad, ValueError)
    assert [one.report_id for one in (a, b, c) if isinstance(one, AcceptedReport)] == list("abc")
