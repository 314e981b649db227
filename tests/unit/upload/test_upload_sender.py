from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastwords.errors import DeliveryError
from lastwords.upload.multipart import MultipartBody
from lastwords.upload.sender import Timeouts, check_url, send

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = Timeouts(connect_s=2, idle_s=0.4)


def small_body() -> MultipartBody:
    body = MultipartBody()
    body.add_text("prod", "p")
    return body


def large_body(tmp_path: Path, size_bytes: int) -> MultipartBody:
    path = tmp_path / "dump.dmp"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    body = MultipartBody()
    body.add_file("upload_file_minidump", str(path), size_bytes, "application/octet-stream")
    return body


@pytest.mark.parametrize(
    ("answer", "server_id"),
    [
        ("0f1e2d3c\n", "0f1e2d3c"),
        ("CrashID=bp-1f\n", "bp-1f"),
        ("", None),
    ],
)
def test_200_is_delivered(serve: Callable, answer: str, server_id: str | None) -> None:
    server = serve(f"answer 200 {answer}")
    got = send(server.url, small_body(), QUICK)
    assert (got.outcome, got.server_id, got.reason) == ("delivered", server_id, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_4xx_is_final(serve: Callable, status: int) -> None:
    server = serve(f"answer {status} Discarded=no_product")
    got = send(server.url, small_body(), QUICK)
    assert got.outcome == "rejected"
    assert str(status) in got.reason
    assert "no_product" in got.reason
    assert server.url in got.reason


@pytest.mark.parametrize(
    "behaviour",
    ["answer 500 sorry", "answer 503", "answer 408", "answer 204", "answer 201 id", "hang", "drip",
     "reset", "close_early", "truncate", "garble", "redirect http://127.0.0.1:9/",
     "answer 200 <html>log in first</html>", "answer 200 two\nlines"],
)  # fmt: skip
def test_everything_else_is_tried_again(serve: Callable, behaviour: str) -> None:
    server = serve(behaviour)
    started = time.monotonic()
    got = send(server.url, small_body(), QUICK)
    assert got.outcome == "failed"
    assert server.url in got.reason
    assert got.is_unreachable == (behaviour == "hang")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("hang", "stood still for too long"),
        ("reset", "the connection"),  # reset or closed, as the race goes
        ("close_early", "closed the connection without an answer"),
        ("garble", "did not answer as a web server does"),
    ],
)
def test_what_the_server_did_reads_as_a_sentence(
    serve: Callable, behaviour: str, said: str
) -> None:
    server = serve(behaviour)
    reason = send(server.url, small_body(), QUICK).reason
    assert reason.startswith(server.url)
    assert said in reason


def test_what_is_no_text_is_no_report_id(serve: Callable) -> None:
    got = send(serve("answer 200 id\x1b[31m").url, small_body(), QUICK)
    assert (got.outcome, got.server_id) == ("failed", None)
    assert got.reason.isprintable()


def test_nobody_listening_is_unreachable(unused_url: str) -> None:
    got = send(unused_url, small_body(), QUICK)
    assert got.outcome == "failed"
    assert got.is_unreachable
    assert unused_url in got.reason


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    got = send("http://no-such-host.invalid/", small_body(), QUICK)
    assert got.is_unreachable


def test_a_redirect_is_not_followed(serve: Callable) -> None:
    other = serve("answer 200 stolen")
    server = serve(f"redirect {other.url}")
    got = send(server.url, small_body(), QUICK)
    assert "redirect" in got.reason
    assert other.requests == []


def test_the_server_may_ask_to_wait(serve: Callable) -> None:
    got = send(serve("wait 120").url, small_body(), QUICK)
    assert (got.outcome, got.retry_after_s) == ("failed", 120.0)


def test_an_answer_given_before_everything_was_read_counts(serve: Callable, tmp_path: Path) -> None:
    got = send(serve("refuse_early").url, large_body(tmp_path, 50_000_000), QUICK)
    assert got.outcome in ("rejected", "failed")  # the reset may overtake the answer
    assert got.reason


def test_a_server_that_stops_reading_is_given_up(tmp_path: Path, serve: Callable) -> None:
    server = serve("hang")
    started = time.monotonic()
    got = send(server.url, large_body(tmp_path, 50_000_000), QUICK)
    assert got.outcome == "failed"
    assert time.monotonic() - started < 10


def test_a_large_dump_is_never_whole_in_memory(tmp_path: Path, serve: Callable) -> None:
    body = large_body(tmp_path, 30_000_000)
    tracemalloc.start()
    sent = sum(len(chunk) for chunk in body.chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sent == body.size_bytes
    assert peak < 1_000_000


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path, serve: Callable) -> None:
    body = large_body(tmp_path, 100_000)
    (tmp_path / "dump.dmp").write_bytes(b"short")
    with pytest.raises(DeliveryError) as caught:
        send(serve("answer 200 id").url, body, QUICK)
    assert caught.value.code == "delivery_failed"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        st.text(st.characters(codec="utf-8"), max_size=50),
        max_size=5,
    )
)
def test_the_length_is_right_whatever_the_parts(parts: dict[str, str]) -> None:
    body = MultipartBody()
    for name, value in parts.items():
        body.add_text(name, value)
    data = b"".join(body.chunks())
    assert len(data) == body.size_bytes
    assert data.count(b"Content-Disposition: form-data; name=") >= len(parts)
    for line in data.split(b"\r\n"):
        if line.startswith(b"Content-Disposition"):
            assert line.count(b'"') == 2


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "ftp://h/", "http://", "http:///x", "http://h:99999/", "http://h:x/",
     "http://h/\r\nX: y", "http://h/ x", "javascript:alert(1)", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        check_url(url)
    assert caught.value.code == "delivery_bad_url"


def test_user_and_password_go_into_the_header_only(serve: Callable) -> None:
    server = serve("answer 500")
    got = send(server.url.replace("://", "://bob:s%2Fcret@"), small_body(), QUICK)
    assert server.requests[0].headers["authorization"] == "Basic Ym9iOnMvY3JldA=="
    assert "cret" not in got.reason


@pytest.fixture
def https_server(tmp_path: Path) -> tuple[str, Path]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("openssl, which makes the certificate, is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"id-tls")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda request, address: None
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}/submit", certificate
    server.shutdown()
    server.server_close()


def test_an_unknown_certificate_is_refused(https_server: tuple[str, Path]) -> None:
    got = send(https_server[0], small_body(), QUICK)
    assert got.outcome == "failed"
    assert "certificate" in got.reason.lower()


def test_a_known_certificate_is_accepted(
    https_server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(https_server[1]))
    assert send(https_server[0], small_body(), QUICK).server_id == "id-tls"
