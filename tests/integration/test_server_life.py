"""The life of the server: starting, stopping, dying, and what each leaves of the reports."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

import pytest
from live_server import LASTWORDS, LiveServer, crash_form

from lastwords.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    live = LiveServer(tmp_path / "data").start()
    yield live
    live.end()


def serve_fails(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LASTWORDS, "serve", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


class Load:
    """Clients that deliver without a pause and write down what was acknowledged."""

    def __init__(self, server: LiveServer, clients: int) -> None:
        self.server = server
        self.acknowledged: dict[str, bytes] = {}
        self.is_stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self) -> None:
        while not self.is_stopping.is_set():
            dump = b"MDMP" + uuid.uuid4().bytes * 500
            try:
                answer = self.server.post(crash_form(dump))
            except (OSError, HTTPException):
                continue
            if answer.status == 200:
                self.acknowledged[answer.report_id] = dump

    def __enter__(self) -> Load:  # noqa: PYI034  (Self needs Python 3.11)
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_stopping.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        deadline_s = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)


@pytest.mark.parametrize("kill_after", [1, 30, 100])
def test_kill_9_under_load_loses_nothing_acknowledged(tmp_path: Path, kill_after: int) -> None:
    server = LiveServer(tmp_path / "data").start()
    with Load(server, clients=4) as load:
        load.wait_for(kill_after)
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
    server.start()
    try:
        for report_id, dump in load.acknowledged.items():
            report = server.store.report(report_id)
            assert report is not None, "an acknowledged report is lost"
            assert report.dump_sha256 is not None
            assert server.store.read_blob(report.dump_sha256) == dump
    finally:
        assert server.end() == 0
    assert_jobs_and_blobs_complete(tmp_path / "data")


def assert_jobs_and_blobs_complete(data_dir: Path) -> None:
    database = sqlite3.connect(data_dir / "lastwords.sqlite3")
    without_job = (
        "select count(*) from report where state in ('received', 'processing') "
        "and id not in (select report_id from job)"
    )
    assert database.execute(without_job).fetchone() == (0,), "a job is lost"
    known = {row[0] for row in database.execute("select sha256 from blob")}
    database.close()
    files = {path.name for path in (data_dir / "blobs").rglob("*") if path.is_file()}
    assert files == known, "a file without a row, or a row without a file"
    assert list((data_dir / "incoming").iterdir()) == []


def test_jobs_of_a_killed_server_are_done_by_the_next(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "data").start()
    ids = [server.post(crash_form()).report_id for _ in range(6)]
    server.end(signal.SIGKILL)
    server.start()
    states = {server.wait_processed(report_id).state.value for report_id in ids}
    assert states <= {"processed", "failed"}
    assert server.health()["queue_depth"] == 0
    server.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_is_graceful_and_quiet(tmp_path: Path, number: signal.Signals) -> None:
    server = LiveServer(tmp_path / "data").start()
    report_id = server.post(crash_form()).report_id
    assert server.end(number) == 0
    assert "Traceback" not in (tmp_path / "server.log").read_text()
    store = open_store(tmp_path / "data", is_owner=True)
    assert store.report(report_id) is not None
    store.close()


def test_restart_serves_what_was_stored(server: LiveServer) -> None:
    report_id = server.wait_processed(server.post(crash_form()).report_id).id
    server.end()
    server.start()
    report = server.store.report(report_id)
    assert report is not None
    assert report.issue_id is not None


@pytest.mark.parametrize("path", ["/", "/reports", "/health", "/api/issues"])
def test_head_answers_as_get_without_a_body(server: LiveServer, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("HEAD", path)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.request("GET", path)  # on the same connection: nothing is left over
    assert connection.getresponse().status == 200
    connection.close()


def test_taken_port_is_named(server: LiveServer, tmp_path: Path) -> None:
    failed = serve_fails("--data", str(tmp_path / "other"), "--port", str(server.port))
    assert failed.returncode == 2
    assert f"error: port {server.port} of 127.0.0.1 is taken" in failed.stderr
    assert "hint: give another one with --port" in failed.stderr
    assert not (tmp_path / "other").exists()


def test_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    failed = serve_fails("--data", str(tmp_path), "--port", "0", "--host", "203.0.113.7")
    assert failed.returncode == 2
    assert "error: cannot listen on 203.0.113.7" in failed.stderr


def test_data_folder_in_use_is_named(server: LiveServer) -> None:
    failed = serve_fails("--data", str(server.data_dir), "--port", "0")
    assert failed.returncode == 1
    assert server.process is not None
    assert f"is in use by the process {server.process.pid}" in failed.stderr
    assert server.health()["status"] == "ok"


def test_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    failed = serve_fails("--data", str(tmp_path / "file" / "data"), "--port", "0")
    assert failed.returncode == 1
    assert "error: the data folder" in failed.stderr
    assert "hint:" in failed.stderr


def test_symbols_that_are_not_there_are_named_before_anything_is_made(tmp_path: Path) -> None:
    data, symbols = tmp_path / "data", tmp_path / "symbolls"
    failed = serve_fails("--data", str(data), "--port", "0", "--symbols", str(symbols))
    assert failed.returncode == 1
    assert f"error: symbol source {symbols}: there is no such file or folder" in failed.stderr
    assert not data.exists()


def test_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "lastwords.sqlite3") as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    failed = serve_fails("--data", str(tmp_path), "--port", "0")
    assert failed.returncode == 1
    assert "has schema 9999" in failed.stderr
    assert "hint: upgrade lastwords" in failed.stderr


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lastwords.sqlite3").write_bytes(b"not a database, but long enough" * 100)
    failed = serve_fails("--data", str(tmp_path), "--port", "0")
    assert failed.returncode == 1
    assert "lastwords.sqlite3 cannot be used" in failed.stderr


def test_address_is_one_line_for_people(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*LASTWORDS, "serve", "--data", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    assert process.stdout.read() == ""
    process.stdout.close()
    assert process.wait() == 0
    assert line.startswith("lastwords server on http://127.0.0.1:")
    assert line.endswith(f"(data in {tmp_path})\n")


def test_missing_extra_is_named(tmp_path: Path) -> None:
    """As in an installation of `lastwords[analyze]`: the package is there, its extra is not."""
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no', name='uvicorn')")
    program = "from lastwords.cli import main; main()"
    failed = subprocess.run(
        [sys.executable, "-c", program, "serve", "--data", str(tmp_path / "d")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 4
    assert "error: the server needs the package 'uvicorn'" in failed.stderr
    assert "hint: pip install 'lastwords[server]'" in failed.stderr
