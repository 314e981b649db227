from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.errors import DeliveryError, SpoolError
from lastwords.spool.spool import DeliveryState, Spool
from lastwords.spool.writer import ReportWriter
from lastwords.upload.consent import Decision
from lastwords.upload.delivery import Delivery, backoff_s, deliver, format_time, parse_time
from lastwords.upload.sender import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0
QUICK = Timeouts(connect_s=2, idle_s=0.4)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"))


def add(spool: Spool, **document: object) -> str:
    writer = ReportWriter(spool.directory)
    writer.write_document(json.dumps({"schema": 1, "product": "p", "version": "1", **document}))
    writer.commit()
    return writer.report_id


def allowing(**more: object) -> Delivery:
    def gate(product: object, url: object, reports: object) -> Decision:
        return Decision(is_allowed=True, reason="test")

    return Delivery(gate=gate, timeouts=QUICK, **more)


def outcomes(spool: Spool, delivery: Delivery, **more: object) -> list[str]:
    return [item.outcome for item in deliver(spool, delivery, now=NOW, **more)]


def test_a_delivered_report_is_completed_with_the_servers_id(spool: Spool, serve: Callable) -> None:
    report_id = add(spool)
    assert outcomes(spool, allowing(url=serve("answer 200 CrashID=bp-1").url)) == ["delivered"]
    found = spool.find(report_id)
    assert found.state == "completed"
    assert found.delivery == DeliveryState(
        attempts=1, last_attempt=format_time(NOW), server_id="bp-1", outcome="delivered"
    )


def test_the_request_has_the_parts_of_the_format_page(spool: Spool, serve: Callable) -> None:
    annotations = {"scene": "tówn", "ok": True, "n": 3, "prod": "x", "report": "y", 'q"\r\n': "z"}
    report_id = add(spool, client_id="c", annotations=annotations)
    path = Path(spool.path("pending", report_id))
    (path / "attachments").mkdir()
    (path / "attachments" / "app.log").write_bytes(b"log\r\n--x\x00")
    (path / "dump.dmp").write_bytes(b"MDMP\r\n\r\n")
    server = serve("answer 200 id")
    document = (path / "report.json").read_bytes()
    assert outcomes(spool, allowing(url=server.url + "?key=1")) == ["delivered"]
    request = server.requests[0]
    assert request.path == "/submit?key=1"
    parts = request.parts()
    assert parts["prod"] == b"p"
    assert parts["ver"] == b"1"
    assert parts["guid"] == b"c"
    assert parts["lastwords_report_id"] == report_id.encode()
    assert parts["scene"] == "tówn".encode()
    assert (parts["ok"], parts["n"]) == (b"true", b"3")
    assert (parts["annotation_prod"], parts["annotation_report"]) == (b"x", b"y")
    assert parts["q%22%0D%0A"] == b"z"
    assert parts["report"] == document
    assert parts["attachment_app.log"] == b"log\r\n--x\x00"
    assert parts["upload_file_minidump"] == b"MDMP\r\n\r\n"
    assert request.part_names()[-1] == "upload_file_minidump"


def test_a_refused_report_is_kept_and_not_sent_again(spool: Spool, serve: Callable) -> None:
    report_id = add(spool)
    server = serve("answer 400 Discarded=no_product")
    assert outcomes(spool, allowing(url=server.url)) == ["rejected"]
    found = spool.find(report_id)
    assert (found.state, found.delivery.outcome) == ("completed", "rejected")
    assert "no_product" in found.delivery.last_error
    assert outcomes(spool, allowing(url=server.url)) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", ["answer 500", "hang", "reset", "close_early", "truncate"])
def test_a_failed_report_stays_with_its_count_and_its_next_time(
    spool: Spool, serve: Callable, behaviour: str
) -> None:
    report_id = add(spool)
    before = Path(spool.path("pending", report_id), "report.json").read_bytes()
    assert outcomes(spool, allowing(url=serve(behaviour).url)) == ["failed"]
    found = spool.find(report_id)
    assert found.state == "pending"
    assert found.delivery.attempts == 1
    assert found.delivery.last_error
    assert NOW + 40 < parse_time(found.delivery.next_attempt) < NOW + 80
    assert Path(found.path, "report.json").read_bytes() == before


def test_waiting_is_ignored_by_hand_only(spool: Spool, serve: Callable) -> None:
    add(spool)
    server = serve("answer 500", "answer 200 id")
    assert outcomes(spool, allowing(url=server.url)) == ["failed"]
    assert outcomes(spool, allowing(url=server.url)) == ["waiting"]
    assert outcomes(spool, allowing(url=server.url, is_by_hand=True)) == ["delivered"]


def test_a_next_attempt_far_in_the_future_is_a_wrong_clock(spool: Spool, serve: Callable) -> None:
    report_id = add(spool)
    state = DeliveryState(attempts=1, next_attempt=format_time(NOW + 10 * 365 * 86_400))
    spool.write_delivery("pending", report_id, state)
    assert outcomes(spool, allowing(url=serve("answer 200 id").url)) == ["delivered"]


def test_the_server_may_ask_for_more_time(spool: Spool, serve: Callable) -> None:
    report_id = add(spool)
    assert outcomes(spool, allowing(url=serve("wait 7200").url)) == ["failed"]
    assert parse_time(spool.find(report_id).delivery.next_attempt) == NOW + 7200


def test_after_too_many_failures_a_report_is_kept_as_given_up(
    spool: Spool, serve: Callable
) -> None:
    report_id = add(spool)
    spool.write_delivery("pending", report_id, DeliveryState(attempts=2))
    server = serve("answer 500", "answer 200 id")
    assert outcomes(spool, allowing(url=server.url, retry_count=3)) == ["given_up"]
    assert spool.find(report_id).delivery.outcome == "given_up"
    spool.reopen(report_id)
    assert outcomes(spool, allowing(url=server.url)) == ["delivered"]


def test_trying_by_hand_never_gives_a_report_up(spool: Spool, serve: Callable) -> None:
    report_id = add(spool)
    spool.write_delivery("pending", report_id, DeliveryState(attempts=9))
    delivery = allowing(url=serve("answer 500").url, is_by_hand=True)
    assert outcomes(spool, delivery) == ["failed"]
    assert spool.find(report_id).state == "pending"


def test_a_server_that_is_down_is_tried_once(spool: Spool, unused_url: str) -> None:
    ids = [add(spool) for _ in range(3)]
    assert sorted(outcomes(spool, allowing(url=unused_url))) == ["failed", "skipped", "skipped"]
    assert sum(spool.find(each).delivery.attempts for each in ids) == 1


def test_a_server_that_hangs_is_tried_once_and_with_another_report_next(
    spool: Spool, serve: Callable
) -> None:
    first, second = add(spool), add(spool)
    delivery = allowing(url=serve("hang", "answer 200 id").url, is_by_hand=True)
    assert outcomes(spool, delivery) == ["failed", "skipped"]
    sent = deliver(spool, delivery, now=NOW)
    assert [item.outcome for item in sent] == ["delivered", "delivered"]
    assert sorted(spool.find(item).delivery.attempts for item in (first, second)) == [1, 2]


def test_the_least_tried_report_goes_first(spool: Spool, serve: Callable) -> None:
    tried = add(spool, created="2026-01-01T00:00:00.000Z")
    spool.write_delivery("pending", tried, DeliveryState(attempts=3))
    fresh = add(spool, created="2026-01-02T00:00:00.000Z")
    server = serve("answer 200 id")
    outcomes(spool, allowing(url=server.url, is_by_hand=True))
    asked = [body.find(fresh.encode()) > 0 for body in (r.body for r in server.requests)]
    assert asked == [True, False]


def test_each_report_goes_to_its_own_address(spool: Spool, serve: Callable) -> None:
    one, other = serve("answer 200 a"), serve("answer 200 b")
    add(spool, url=one.url)
    add(spool, url=other.url)
    add(spool, url=None)
    add(spool, url="gopher://h/")
    got = sorted(outcomes(spool, allowing()))
    assert got == ["delivered", "delivered", "failed", "no_url"]
    assert (len(one.requests), len(other.requests)) == (1, 1)


def test_a_wrong_address_given_with_the_call_is_an_error(spool: Spool) -> None:
    with pytest.raises(DeliveryError):
        deliver(spool, allowing(url="gopher://h/"))


def test_nothing_is_sent_without_consent(spool: Spool, serve: Callable) -> None:
    server = serve("answer 200 id")
    mine, _ = add(spool, product="mine"), add(spool, product="theirs")
    seen = []

    def gate(product: str | None, url: str, reports: list) -> Decision:
        seen.append((product, url, len(reports)))
        return Decision(is_allowed=product == "mine", reason="the stored decision is never")

    delivery = Delivery(gate=gate, url=server.url, timeouts=QUICK)
    got = {item.report_id: item for item in deliver(spool, delivery, now=NOW)}
    assert got[mine].outcome == "delivered"
    assert sorted(item.outcome for item in got.values()) == ["delivered", "not_allowed"]
    assert len(server.requests) == 1
    assert sorted(seen) == [("mine", server.url, 1), ("theirs", server.url, 1)]
    assert spool.reports("pending")[0].delivery == DeliveryState()


def test_a_delivered_report_is_not_sent_again_when_it_could_not_be_moved(
    spool: Spool, serve: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_id = add(spool)
    server = serve("answer 200 id")

    def stuck(self: Spool, report_id: str, source: str, target: str) -> str:
        raise SpoolError("spool_not_usable", "read-only now")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "move", stuck)
        assert outcomes(spool, allowing(url=server.url)) == ["delivered"]
    assert spool.ids("pending") == [report_id]
    assert outcomes(spool, allowing(url=server.url)) == ["delivered"]
    assert spool.find(report_id).state == "completed"
    assert len(server.requests) == 1


def test_a_full_disk_does_not_make_a_delivered_report_pending(
    spool: Spool, serve: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_id = add(spool)

    def no_space(path: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lastwords.spool.spool.write_file", no_space)
    assert outcomes(spool, allowing(url=serve("answer 200 id").url)) == ["delivered"]
    assert spool.find(report_id).state == "completed"


RACER = """
import sys
from lastwords.spool.spool import Spool
from lastwords.upload.consent import Decision
from lastwords.upload.delivery import Delivery, deliver
allow = lambda *_: Decision(is_allowed=True, reason="test")
sys.stdin.readline()
deliver(Spool(sys.argv[1]), Delivery(gate=allow, url=sys.argv[2]))
"""


def test_processes_that_deliver_at_once_send_each_report_once(
    spool: Spool, serve: Callable
) -> None:
    ids = {add(spool) for _ in range(12)}
    server = serve("answer 200 id")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, spool.directory, server.url], stdin=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for racer in racers:
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
        assert racer.returncode == 0
    sent = [request.parts()["lastwords_report_id"].decode() for request in server.requests]
    assert sorted(sent) == sorted(ids)
    assert set(spool.ids("completed")) == ids


@given(st.integers(1, 10_000))
def test_waiting_times_grow_and_are_bounded(attempts: int) -> None:
    assert 48 <= backoff_s(attempts) <= 6 * 3600 * 1.2
    assert backoff_s(attempts + 3) > backoff_s(attempts) or attempts > 8


@given(st.floats(0, 4e9))
def test_times_go_through_text(seconds: float) -> None:
    assert abs(parse_time(format_time(seconds)) - seconds) < 0.002


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-13-01T00:00:00.000Z", "2026-01-01"])
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert parse_time(text) is None
