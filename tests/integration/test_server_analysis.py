"""Real dumps of three systems go in; issues with readable signatures come out."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from corpus_files import corpus, malformed_dumps
from live_server import Form, LiveServer, crash_form

from lastwords.store import BlobKind, IssueStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

BREAKPAD = "files/google+breakpad/src/processor/testdata"
RUST_MINIDUMP = "files/rust-minidump+rust-minidump/testdata"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folders = (corpus() / BREAKPAD / "symbols", corpus() / RUST_MINIDUMP / "symbols")
    symbols = [item for folder in folders for item in ("--symbols", str(folder))]
    data_dir = tmp_path_factory.mktemp("analysis") / "data"
    live = LiveServer(data_dir, (*symbols, "--workers", "2")).start()
    yield live
    live.end()


def analysis_of(server: LiveServer, report_id: str) -> dict[str, Any]:
    (blob,) = [b for b in server.store.report_blobs(report_id) if b.kind is BlobKind.ANALYSIS]
    document: dict[str, Any] = json.loads(server.store.read_blob(blob.sha256))
    return document


@dataclass(frozen=True, kw_only=True)
class Expected:
    path: str
    reason: str
    address: int
    system: str
    function: str


DUMPS = [
    Expected(
        path=f"{BREAKPAD}/minidump2.dmp",
        reason="EXCEPTION_ACCESS_VIOLATION_WRITE",
        address=0x45,
        system="Windows NT",
        function="CrashFunction",
    ),
    Expected(
        path=f"{BREAKPAD}/linux_null_read_av.dmp",
        reason="SIGSEGV",
        address=0,
        system="Linux",
        function="null_read_av!crash",
    ),
    Expected(
        path=f"{RUST_MINIDUMP}/pipeline-inlines-macos-segv.dmp",
        reason="EXC_BAD_ACCESS / KERN_INVALID_ADDRESS",
        address=0xFFFFFFFF80000042,
        system="Mac OS X",
        function="crash",
    ),
]


@pytest.mark.parametrize("expected", DUMPS, ids=lambda one: one.system)
def test_dump_ends_in_an_issue_named_after_its_function(
    server: LiveServer, expected: Expected
) -> None:
    dump = (corpus() / expected.path).read_bytes()
    answer = server.post(crash_form(dump, prod=expected.system, guid="one"))
    report = server.wait_processed(answer.report_id)
    assert report.state.value == "processed", report.state_reason
    assert (report.crash_reason, report.os) == (expected.reason, expected.system)
    assert int(report.crash_address or "", 16) == expected.address
    assert expected.function in (report.signature or "")
    frames = analysis_of(server, report.id)["crashing_thread"]["frames"]
    function = expected.function.rpartition("!")[2]
    assert any(function in (frame.get("function") or "") for frame in frames)
    (issue,) = server.store.issues(product=expected.system)
    assert (issue.id, issue.status, issue.reports) == (report.issue_id, IssueStatus.NEW, 1)


def test_same_crash_of_two_installations_is_one_issue(server: LiveServer) -> None:
    dump = (corpus() / BREAKPAD / "linux_null_read_av.dmp").read_bytes()
    for client in ("one", "two"):
        answer = server.post(crash_form(dump, prod="twice", guid=client))
        server.wait_processed(answer.report_id)
    (issue,) = server.store.issues(product="twice")
    assert (issue.reports, issue.installations) == (2, 2)


def test_malformed_dumps_end_in_bounded_time_and_the_server_lives(server: LiveServer) -> None:
    dumps = malformed_dumps()
    assert len(dumps) >= 10
    started_s = time.monotonic()
    ids = {}
    for path in dumps:
        form = crash_form(path.read_bytes(), prod="malformed", guid=str(uuid.uuid4()))
        ids[server.post(form).report_id] = path
    for report_id, path in ids.items():
        report = server.wait_processed(report_id)
        (note,) = [one for one in server.store.notes(report_id) if one.step == "analysis"]
        assert report.state.value == "processed", f"{path}: {report.state_reason}"
        assert note.message, path
        assert str(server.data_dir) not in note.message, "paths of the server are not shown"
    assert time.monotonic() - started_s < 5 * len(dumps)
    assert server.health()["queue_depth"] == 0


def test_exception_report_needs_no_dump(server: LiveServer) -> None:
    document = {
        "schema": 1,
        "report_id": str(uuid.uuid4()),
        "created": "2026-11-20T12:00:00.000Z",
        "product": "simulation",
        "version": "2.0",
        "client_id": "c-7",
        "mechanism": {"type": "thread_exception", "handled": False},
        "system": {"os": "Linux", "os_version": "6.1", "arch": "x86_64"},
        "exception": {
            "type": "ValueError",
            "message": "negative step",
            "frames": [{"qualname": "Simulation.run", "file": "/app/sim/core.py", "line": 3}],
        },
    }
    form = Form().text("lastwords_report_id", document["report_id"])
    form.file("report", "report.json", json.dumps(document).encode())
    report = server.wait_processed(server.post(form).report_id)
    assert (report.product, report.version, report.client_id) == ("simulation", "2.0", "c-7")
    assert (report.state.value, report.crash_reason) == ("processed", "ValueError")
    assert "ValueError" in (report.signature or "")
    assert "Simulation.run" in (report.signature or "")
