"""Every way in which real clients deliver a report ends in the same stored report."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import time
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest
from live_server import Answer, Form, LiveServer, crash_form

from lastwords.store import BlobKind, StoredReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    live = LiveServer(tmp_path_factory.mktemp("delivery") / "data").start()
    yield live
    live.end()


@pytest.fixture
def dump() -> bytes:
    """Content of its own, larger than one read, with bytes like line ends and boundaries."""
    return b"MDMP" + uuid.uuid4().bytes + b"\r\n--\r\n-----\0\xff" * 20_000


def stored_dump(server: LiveServer, report_id: str) -> bytes:
    report = server.store.report(report_id)
    assert report is not None
    assert report.dump_sha256 is not None
    return server.store.read_blob(report.dump_sha256)


def report_of(server: LiveServer, answer: Answer) -> StoredReport:
    report = server.store.report(answer.report_id)
    assert report is not None
    return report


def in_pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def deflate_raw(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


def plain(server: LiveServer, form: Form) -> Answer:
    return server.post(form)


def chunked(server: LiveServer, form: Form) -> Answer:
    headers = {**form.headers, "Transfer-Encoding": "chunked"}
    pieces = in_pieces(form.body, 777)
    return server.request("POST", "/submit", pieces, headers, is_chunked=True)


def compressed(name: str, compress: Callable[[bytes], bytes]) -> Callable[..., Answer]:
    def deliver(server: LiveServer, form: Form) -> Answer:
        headers = {**form.headers, "Content-Encoding": name}
        return server.request("POST", "/submit", compress(form.body), headers)

    return deliver


def chunked_gzip(server: LiveServer, form: Form) -> Answer:
    """As Crashpad sends with libcurl."""
    headers = {**form.headers, "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    pieces = in_pieces(gzip.compress(form.body), 4096)
    return server.request("POST", "/submit", pieces, headers, is_chunked=True)


def http_1_0(server: LiveServer, form: Form) -> Answer:
    """As Crashpad's socket transport sends."""
    head = (
        f"POST /submit HTTP/1.0\r\nHost: x\r\nContent-Type: {form.headers['Content-Type']}\r\n"
        f"Content-Length: {len(form.body)}\r\n\r\n"
    )
    answer = server.raw(head.encode(), form.body)
    assert answer is not None
    return answer


def byte_by_byte_head(server: LiveServer, form: Form) -> Answer:
    """The first boundaries arrive in pieces of one byte."""
    head = (
        f"POST /submit HTTP/1.1\r\nHost: x\r\nContent-Type: {form.headers['Content-Type']}\r\n"
        f"Content-Length: {len(form.body)}\r\n\r\n"
    )
    single = [form.body[i : i + 1] for i in range(200)]
    answer = server.raw(head.encode(), *single, form.body[200:])
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "deliver",
    [
        plain,
        chunked,
        compressed("gzip", gzip.compress),
        compressed("deflate", zlib.compress),
        compressed("deflate", deflate_raw),
        compressed("x-gzip", lambda body: gzip.compress(body[:99]) + gzip.compress(body[99:])),
        chunked_gzip,
        http_1_0,
        byte_by_byte_head,
    ],
)
def test_every_transfer_form_stores_the_same_report(
    server: LiveServer, dump: bytes, deliver: Callable[[LiveServer, Form], Answer]
) -> None:
    form = crash_form(dump, ptype="browser").file("attachment_log", "app.log", b"one\ntwo\n")
    report = report_of(server, deliver(server, form))
    assert (report.product, report.version, report.client_id) == ("Simulation", "1.2", "c-1")
    assert stored_dump(server, report.id) == dump
    assert server.store.annotations(report.id) == [("ptype", "browser")]
    files = {(one.kind, one.name): one for one in server.store.report_blobs(report.id)}
    log = files[BlobKind.ATTACHMENT, "app.log"]
    assert server.store.read_blob(log.sha256) == b"one\ntwo\n"


def test_curl_form_is_accepted(server: LiveServer, dump: bytes, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    file = tmp_path / "crash.dmp"
    file.write_bytes(dump)
    printed = subprocess.run(
        [
            "curl",
            "-sSf",
            "-F",
            "prod=P",
            "-F",
            "ver=3",
            "-F",
            f"upload_file_minidump=@{file}",
            f"http://127.0.0.1:{server.port}/submit",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert re.fullmatch(r"CrashID=bp-[0-9a-f-]{36}\n", printed)
    assert stored_dump(server, printed.strip().removeprefix("CrashID=bp-")) == dump


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/submit", r"CrashID=bp-{id}\n"),
        ("/submit?product=a&version=b&guid=c", r"CrashID=bp-{id}\n"),
        ("/", "{id}"),
        ("/upload", "{id}"),
        ("/api/42/minidump/?sentry_key=k", "{id}"),
    ],
)
def test_answer_follows_the_dialect_of_the_address(
    server: LiveServer, path: str, pattern: str
) -> None:
    answer = server.post(crash_form(), path)
    today = time.strftime("%y%m%d", time.gmtime())
    report_id = (
        rf"[0-9a-f]{{8}}-[0-9a-f]{{4}}-7[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{5}}0{today}"
    )
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.fullmatch(pattern.replace("{id}", report_id), answer.body.decode())


def test_address_parameters_stand_in_for_missing_fields(server: LiveServer, dump: bytes) -> None:
    form = Form().file("upload_file_minidump", "x.dmp", dump)
    answer = server.post(form, "/submit?product=Pad&version=7&guid=g-9")
    report = report_of(server, answer)
    assert (report.product, report.version, report.client_id) == ("Pad", "7", "g-9")


def test_dump_alone_as_body_is_accepted(server: LiveServer, dump: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    answer = server.request("POST", "/upload?product=Raw&version=1", dump, headers)
    assert stored_dump(server, answer.report_id) == dump


def test_dump_packed_with_gzip_is_unpacked(server: LiveServer, dump: bytes) -> None:
    answer = server.post(crash_form(gzip.compress(dump)))
    assert stored_dump(server, answer.report_id) == dump


def test_client_may_wait_for_100_continue(server: LiveServer, dump: bytes) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    form = crash_form(dump)
    printed = subprocess.run(
        [
            "curl",
            "-sSf",
            "-v",
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            "@-",
            "-H",
            f"Content-Type: {form.headers['Content-Type']}",
            f"http://127.0.0.1:{server.port}/submit",
        ],
        input=form.body,
        check=True,
        capture_output=True,
    )
    assert b"100 Continue" in printed.stderr
    assert printed.stdout.startswith(b"CrashID=bp-")


def test_socorro_extra_part_becomes_annotations(server: LiveServer) -> None:
    extra = json.dumps({"ProductName": "Fire", "Version": "99", "Reason": "x", "Nested": {"a": 1}})
    form = Form().raw(
        'Content-Disposition: form-data; name="extra"\r\nContent-Type: application/json',
        extra.encode(),
    )
    form.file("upload_file_minidump", "d.dmp", b"MDMP" + uuid.uuid4().bytes)
    report = report_of(server, server.post(form))
    assert (report.product, report.version) == ("Fire", "99")
    assert server.store.annotations(report.id) == [("Nested", '{"a": 1}'), ("Reason", "x")]


def test_odd_parts_are_kept_not_refused(server: LiveServer) -> None:
    form = Form("B")
    form.raw("content-disposition: form-data; name=unquoted", b"1")
    form.raw('Content-Disposition: form-data; name="a%22b"', b"quote")
    form.raw('Content-Disposition: form-data; name="twice"', b"first")
    form.raw('Content-Disposition: form-data; name="twice"', b"second")
    form.raw('Content-Disposition: form-data; name="empty"', b"")
    form.raw('Content-Disposition: form-data; name="bytes"', b"\xff\x00z")
    form.raw("Content-Disposition: form-data", b"no name")
    form.file("upload_file_minidump", "a.dmp", b"MDMP-first" + uuid.uuid4().bytes)
    form.file("upload_file_minidump", "b.dmp", b"MDMP-second")
    form.file("attachment_x", "a.dmp", b"")
    report = report_of(server, server.post(form))
    assert dict(server.store.annotations(report.id)) == {
        "unquoted": "1",
        'a"b': "quote",
        "twice": "first",
        "twice (2)": "second",
        "empty": "",
        "bytes": "\ufffd\ufffdz",
        "unnamed": "no name",
    }
    files = [(one.kind.value, one.name) for one in server.store.report_blobs(report.id)]
    assert sorted(set(files) - {("analysis", "analysis.json")}) == [
        ("attachment", "a.dmp (2)"),
        ("attachment", "b.dmp"),
        ("dump", "a.dmp"),
    ]


def test_long_text_becomes_an_attachment(server: LiveServer) -> None:
    text = "line of a log\n" * 10_000
    report = report_of(server, server.post(crash_form(Comments="short", log=text)))
    assert server.store.annotations(report.id) == [("Comments", "short")]
    (log,) = [one for one in server.store.report_blobs(report.id) if one.name == "log.txt"]
    assert server.store.read_blob(log.sha256) == text.encode()


def test_repeated_delivery_gives_the_first_id(server: LiveServer, dump: bytes) -> None:
    first = server.post(crash_form(dump))
    again = server.post(crash_form(dump), "/")
    other_client = server.post(crash_form(dump, guid="someone else"))
    assert again.report_id == first.report_id
    assert other_client.report_id != first.report_id


def test_repeated_client_report_id_gives_the_first_id(server: LiveServer) -> None:
    mine = str(uuid.uuid4())
    first = server.post(crash_form(lastwords_report_id=mine))
    again = server.post(crash_form(lastwords_report_id=mine))
    assert again.report_id == first.report_id
    report = report_of(server, first)
    assert report.client_report_id == mine


def test_other_methods_and_paths_are_told_apart(server: LiveServer) -> None:
    wrong_method = server.request("GET", "/submit")
    assert wrong_method.status == 405
    assert wrong_method.headers["allow"] == "POST"
    assert server.post(crash_form(), "/no/such/place").status in (404, 405)


def test_health_tells_version_and_queue(server: LiveServer) -> None:
    health = server.health()
    assert health["status"] == "ok"
    assert health["queue_depth"] >= 0
    assert health["version"]
