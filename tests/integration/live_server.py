"""A real `lastwords serve` in its own process, and the odd clients that talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastwords.store import Store, StoredReport, open_store

LASTWORDS = [sys.executable, "-m", "lastwords"]
START_S = 30.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason_code(self) -> str:
        return self.body.decode().splitlines()[0].partition("=")[2]

    @property
    def report_id(self) -> str:
        assert self.status == 200, self
        return self.body.decode().strip().removeprefix("CrashID=").removeprefix("bp-")


@dataclass
class LiveServer:
    """A server on a free port; `store` is a second, reading view of its data."""

    data_dir: Path
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    _store: Store | None = None

    def start(self) -> LiveServer:
        command = [*LASTWORDS, "serve", "--data", str(self.data_dir), "--port", "0", "--json"]
        with (self.data_dir.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.data_dir.parent / "server.log").read_text()
        self.port = int(json.loads(line)["url"].rpartition(":")[2])
        return self

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = open_store(self.data_dir)
        return self._store

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; negative when the signal killed it."""
        assert self.process is not None
        if self._store is not None:
            self._store.close()
            self._store = None
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(timeout=60)

    def rss_peak_bytes(self) -> int:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        is_chunked: bool = False,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=is_chunked)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def post(self, form: Form, path: str = "/submit") -> Answer:
        return self.request("POST", path, form.body, form.headers)

    def raw(self, *pieces: bytes, close_early: bool = False) -> Answer | None:
        """Send bytes as they are; `None` when the client hangs up instead of reading."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for piece in pieces:
                connection.sendall(piece)
            if close_early:
                return None
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def health(self) -> dict[str, Any]:
        answer = self.request("GET", "/health")
        assert answer.status == 200
        document: dict[str, Any] = json.loads(answer.body)
        return document

    def wait_processed(self, report_id: str, timeout_s: float = 60.0) -> StoredReport:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            report = self.store.report(report_id)
            if report is not None and report.state.value in ("processed", "failed"):
                return report
            time.sleep(0.05)
        raise AssertionError(f"{report_id} is not processed after {timeout_s} s")


class Form:
    """A multipart body, built byte by byte and without the code under test."""

    def __init__(self, boundary: str = "---MultipartBoundary-q8Xk2---") -> None:
        self.boundary = boundary
        self.parts: list[bytes] = []

    def text(self, name: str, value: str) -> Form:
        return self.raw(f'Content-Disposition: form-data; name="{name}"', value.encode())

    def file(self, name: str, filename: str, content: bytes) -> Form:
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
        return self.raw(disposition + "\r\nContent-Type: application/octet-stream", content)

    def raw(self, header: str, content: bytes) -> Form:
        self.parts.append(header.encode() + b"\r\n\r\n" + content)
        return self

    @property
    def body(self) -> bytes:
        mark = b"--" + self.boundary.encode()
        return b"".join(mark + b"\r\n" + part + b"\r\n" for part in self.parts) + mark + b"--\r\n"

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": f"multipart/form-data; boundary={self.boundary}"}


def crash_form(dump: bytes | None = None, **texts: str) -> Form:
    """What a Breakpad client sends; a dump of its own unless one is given."""
    form = Form()
    for name, value in {"prod": "Simulation", "ver": "1.2", "guid": "c-1", **texts}.items():
        form.text(name, value)
    content = b"MDMP" + uuid.uuid4().bytes if dump is None else dump
    return form.file("upload_file_minidump", "crash.dmp", content)
