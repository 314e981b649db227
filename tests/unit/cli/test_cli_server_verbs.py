"""`lastwords issues` and `lastwords reports` against a server that answers as ours does."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from lastwords.cli import issues, reports, serve
from lastwords.cli.server import DEFAULT_SERVER, ask
from lastwords.errors import ServerError

ISSUE = {
    "rank": 1,
    "id": 7,
    "status": "new",
    "installations": 3,
    "reports": 9,
    "last_seen": "2026-11-20T18:00:00.000Z",
    "versions": ["1.10", "1.9"],
    "signature": "SIGSEGV | a!f\x1b[31m | m:g",
}
REPORT = {
    "id": "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
    "state": "processed",
    "state_reason": None,
    "issue": 7,
    "received": "2026-11-20T18:00:00.000Z",
    "product": "sim",
    "version": None,
    "signature": "SIGSEGV | a!f",
    "url": "/reports/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9",
    "files": [{"name": "dump.dmp", "size_bytes": 12}],
    "notes": [{"step": "analysis", "message": "done"}],
}


class Server:
    def __init__(self):
        self.answers = {}
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                status, body = outer.answers.get(
                    self.path.partition("?")[0], (404, b'{"schema":1,"message":"there is none"}')
                )
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def answer(self, path, document, status=200):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, body)

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def run(command, *arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=True)


def test_issues_in_a_pipe_are_lines_with_tabs(server):
    server.answer("/api/issues", {"schema": 1, "issues": [ISSUE]})
    result = run(issues.command, "--server", server.url, "--status", "all", "--product", "a b")
    assert result.exit_code == 0
    heading, row = result.stdout.splitlines()
    assert heading.split("\t")[:3] == ["RANK", "ISSUE", "STATUS"]
    assert row.split("\t")[:5] == ["1", "7", "new", "3", "9"]
    assert "\x1b" not in result.stdout
    assert server.asked == ["/api/issues?status=all&product=a+b&limit=100"]


def test_issues_as_json_are_the_servers_document(server):
    server.answer("/api/issues", {"schema": 1, "issues": [ISSUE]})
    result = run(issues.command, "--server", server.url, "--json")
    assert json.loads(result.stdout) == {"schema": 1, "issues": [ISSUE]}


def test_no_issues_is_no_error_and_says_so_on_stderr(server):
    server.answer("/api/issues", {"schema": 1, "issues": []})
    result = run(issues.command, "--server", server.url)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no issues" in result.stderr


def test_server_is_taken_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("LASTWORDS_SERVER", server.url)
    server.answer("/api/reports", {"schema": 1, "reports": [REPORT]})
    result = run(reports.command, "--issue", 7)
    assert result.exit_code == 0
    assert "SIGSEGV | a!f" in result.stdout
    assert server.asked == ["/api/reports?issue=7&state=all&limit=100"]


def test_one_report_is_shown_whole(server):
    server.answer(f"/api/reports/{REPORT['id']}", {"schema": 1, "report": REPORT})
    result = run(reports.command, REPORT["id"], "--server", server.url)
    assert "dump.dmp (12 bytes)" in result.stdout
    assert f"{server.url}/reports/{REPORT['id']}" in result.stdout
    assert "state                processed" in result.stdout


def test_default_address_is_where_serve_listens():
    port = next(one for one in serve.command.params if one.name == "port")
    assert f"http://127.0.0.1:{port.default}" == DEFAULT_SERVER


def refusal(server, path="/api/issues"):
    with pytest.raises(ServerError) as caught:
        ask(server, path, {})
    return caught.value


def test_server_that_is_down_is_a_clear_error():
    error = refusal("http://127.0.0.1:1")
    assert error.code == "server_unreachable"
    assert "http://127.0.0.1:1" in error.message
    assert "lastwords serve" in error.hint


@pytest.mark.parametrize("address", ["file:///etc/passwd", "127.0.0.1:8311", "ftp://x"])
def test_only_web_addresses_are_asked(address):
    assert refusal(address).code == "server_unreachable"


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (200, b'{"schema": 99}'), (502, b"bad gateway"), (500, b"[]")],
)
def test_another_server_is_told_apart(server, status, body):
    server.answer("/api/issues", body, status)
    error = refusal(server.url)
    assert error.code == "server_answer_unusable"
    assert server.url in error.message


def test_refusal_carries_the_servers_words(server):
    assert "there is none" in refusal(server.url, "/api/reports/x").message


@pytest.mark.parametrize(("columns", "has_version"), [(80, False), (140, True)])
def test_terminal_gets_a_table_that_fits(server, monkeypatch, capsys, columns, has_version):
    server.answer("/api/issues", {"schema": 1, "issues": [ISSUE, {**ISSUE, "signature": "[red]x"}]})
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    issues.command.callback(server=server.url, status="all", product=None, limit=5, is_json=False)
    text = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert max(len(line) for line in text.splitlines()) <= columns
    assert ("VERSION" in text) is has_version
    assert "[red]x" in text
