"""Deliveries that are wrong or mean harm: a reason code, little memory, and nothing left behind."""

from __future__ import annotations

import gzip
import re
import time
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest
from live_server import Answer, Form, LiveServer, crash_form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = LiveServer(tmp_path_factory.mktemp("hostile") / "data").start()
    yield live
    live.end()


@pytest.fixture(autouse=True)
def _leaves_nothing(server: LiveServer) -> Iterator[None]:
    yield
    assert list((server.data_dir / "incoming").iterdir()) == []
    assert server.health()["status"] == "ok"
    assert server.post(crash_form()).status == 200, "an honest client must not suffer"


def bomb(size: int) -> bytes:
    """A gzip stream of zeros, in pieces so that this test does not hold it."""
    engine = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    zeros = bytes(MIB)
    return b"".join(engine.compress(zeros) for _ in range(size // MIB)) + engine.flush()


def post(server: LiveServer, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("POST", "/submit", body, named)


MULTIPART = "multipart/form-data; boundary=B"


def test_gzip_bomb_is_refused_in_little_memory(server: LiveServer) -> None:
    before = server.rss_peak_bytes()
    answer = post(server, bomb(700 * MIB), Content_Type=MULTIPART, Content_Encoding="gzip")
    assert (answer.status, answer.reason_code) == (413, "malformed_suspicious_ratio")
    assert server.rss_peak_bytes() - before < 16 * MIB
    assert server.rss_peak_bytes() < 128 * MIB


def test_bomb_inside_the_dump_part_is_refused_in_little_memory(server: LiveServer) -> None:
    before = server.rss_peak_bytes()
    answer = server.post(crash_form(bomb(700 * MIB)))
    assert (answer.status, answer.reason_code) == (413, "malformed_suspicious_ratio")
    assert server.rss_peak_bytes() - before < 16 * MIB


def test_large_dump_goes_to_the_disk_not_into_memory(server: LiveServer) -> None:
    before = server.rss_peak_bytes()
    dump = b"MDMP" + uuid.uuid4().bytes * (100 * MIB // 16)
    answer = server.post(crash_form(dump))
    assert answer.status == 200
    assert server.rss_peak_bytes() - before < 24 * MIB


def refusals() -> Iterator[tuple[str, int, bytes, dict[str, str]]]:
    form = crash_form()
    body, multipart = form.body, form.headers["Content-Type"]
    yield "no_content_type", 400, body, {}
    yield "wrong_content_type", 400, body, {"Content-Type": "application/json"}
    yield "no_boundary", 400, body, {"Content-Type": "multipart/form-data"}
    yield "no_boundary", 400, body, {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}
    yield "bad_content_encoding", 400, body, {"Content-Type": multipart, "Content-Encoding": "br"}
    gzipped = {"Content-Type": multipart, "Content-Encoding": "gzip"}
    yield "bad_compression", 400, body, gzipped
    yield "bad_compression", 400, gzip.compress(body)[:-9], gzipped
    yield "bad_compression", 400, b"", gzipped
    yield "unfinished_multipart", 400, body[:-20], {"Content-Type": multipart}
    yield "unfinished_multipart", 400, b"", {"Content-Type": multipart}
    yield "unfinished_multipart", 400, b"x" * 100_000, {"Content-Type": multipart}
    yield "bad_multipart", 400, body.replace(b"\r\n", b"\n"), {"Content-Type": multipart}
    yield "no_parts", 400, b"--B--\r\n", {"Content-Type": MULTIPART}
    yield "no_parts", 400, b"", {"Content-Type": "application/octet-stream"}
    flood = Form("B")
    flood.parts = [b'Content-Disposition: form-data; name="a"\r\n\r\n'] * 5000
    yield "too_many_parts", 400, flood.body, flood.headers
    files = Form("B")
    for number in range(100):
        files.file(f"attachment_{number}", f"{number}.log", b"x")
    yield "too_many_files", 400, files.body, files.headers
    texts = Form("B")
    for number in range(40):
        texts.text(f"t{number}", "x" * 60_000)
    yield "text_too_large", 400, texts.body, texts.headers
    many = Form("B").raw("\r\n".join(f"X-{n}: y" for n in range(50)), b"")
    yield "part_header_too_large", 400, many.body, many.headers
    long = Form("B").raw("X-Long: " + "y" * 100_000, b"")
    yield "part_header_too_large", 400, long.body, long.headers
    endless = b"--B\r\nContent-Disposition: " + b"z" * 100_000
    yield "part_header_too_large", 400, endless, {"Content-Type": MULTIPART}
    nameless = Form("B").raw("Content-Type: text/plain", b"no disposition")
    yield "bad_multipart", 400, nameless.body, nameless.headers
    packed = (b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh91AY", b"PK\x03\x04")
    for magic in packed:
        form = crash_form(magic + b"rest of it")
        yield "unsupported_dump_compression", 400, form.body, form.headers
    broken = crash_form(gzip.compress(b"MDMP" * 100)[:-10])
    yield "bad_dump_compression", 400, broken.body, broken.headers


@pytest.mark.parametrize(
    ("reason", "status", "body", "headers"),
    [pytest.param(*one, id=f"{number}-{one[0]}") for number, one in enumerate(refusals())],
)
def test_malformed_delivery_gets_its_reason(
    server: LiveServer, reason: str, status: int, body: bytes, headers: dict[str, str]
) -> None:
    answer = server.request("POST", "/submit", body, headers)
    assert (answer.status, answer.reason_code) == (status, f"malformed_{reason}")
    assert answer.body.startswith(b"Discarded=")
    explanation = answer.body.decode().splitlines()[1]
    assert len(explanation) > 20, "people get a sentence"


def test_announced_size_is_refused_before_it_is_sent(server: LiveServer) -> None:
    head = (
        f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\n"
        "Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = server.raw(head.encode())
    assert answer is not None
    assert (answer.status, answer.reason_code) == (413, "malformed_body_too_large")


@pytest.mark.parametrize(
    "filename",
    [
        "../../../../tmp/escaped.dmp",
        "/etc/passwd",
        "..\\..\\windows\\system.ini",
        "C:\\crash.dmp",
        "..",
        ".",
        "",
        "a\x01b\x7f.dmp",
        "x" * 3000 + ".dmp",
        "%0d%0aSet-Cookie: a=b",
    ],
)
def test_file_names_of_clients_are_never_paths(server: LiveServer, filename: str) -> None:
    before = {path.name for path in server.data_dir.parent.iterdir()}
    report_id = server.post(
        Form().file("attachment_x", filename, uuid.uuid4().bytes).text("a", "b")
    ).report_id
    names = [one.name for one in server.store.report_blobs(report_id)]
    for name in names:
        assert not re.search(r"[/\\\x00-\x1f\x7f]", name)
        assert 0 < len(name) <= 255
        assert name.strip(".")
    assert {path.name for path in server.data_dir.parent.iterdir()} == before
    blobs = {path.name for path in (server.data_dir / "blobs").rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"[0-9a-f]{64}", name) for name in blobs)


def test_client_that_hangs_up_leaves_nothing(server: LiveServer) -> None:
    form = crash_form(b"MDMP" + bytes(300_000))
    head = (
        f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {form.headers['Content-Type']}\r\n"
        f"Content-Length: {len(form.body)}\r\n\r\n"
    )
    reports = len(server.store.reports(limit=10_000))
    server.raw(head.encode(), form.body[:200_000], close_early=True)
    wait_until_empty(server.data_dir / "incoming")
    assert len(server.store.reports(limit=10_000)) == reports


def wait_until_empty(folder: Path) -> None:
    deadline_s = time.monotonic() + 10
    while list(folder.iterdir()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_garbage_instead_of_http_is_answered(server: LiveServer) -> None:
    answer = server.raw(b"\x16\x03\x01 not http at all\r\n\r\n")
    assert answer is not None
    assert answer.status == 400


def test_unreadable_dump_is_stored_and_says_why(server: LiveServer) -> None:
    report_id = server.post(crash_form(b"this is no dump")).report_id
    report = server.wait_processed(report_id)
    (note,) = [one for one in server.store.notes(report_id) if one.step == "analysis"]
    assert note.outcome.value == "failed"
    assert note.code == "dump_not_readable"
    assert report.state.value == "processed"
    assert report.issue_id is not None
    assert report.dump_sha256 is not None
    assert server.store.read_blob(report.dump_sha256) == b"this is no dump"


def test_hostile_report_json_is_stored_and_says_why(server: LiveServer) -> None:
    deep = b"[" * 200_000
    form = Form().file("report", "report.json", deep)
    report_id = server.post(form).report_id
    server.wait_processed(report_id)
    (note,) = [one for one in server.store.notes(report_id) if one.step == "describe"]
    assert (note.outcome.value, note.code) == ("failed", "report_json_malformed")
