"""Steps and jobs: what fails leaves a note, what may pass is tried again, nothing runs for ever."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from lastwords.processor import STEPS, ChildLimits, Processor, ProcessorSettings, StepResult, Work
from lastwords.processor.pipeline import process
from lastwords.store import (
    BlobKind,
    NewBlob,
    NewReport,
    Note,
    NoteOutcome,
    ReportState,
    Store,
    StoredReport,
)

if TYPE_CHECKING:
    from pathlib import Path

ANALYSIS = {
    "status": "OK",
    "crash_info": {"type": "SIGSEGV", "address": "0x0000000000000010", "crashing_thread": 0},
    "system_info": {"os": "Linux", "cpu_arch": "amd64"},
    "crashing_thread": {
        "frames": [
            {"frame": 0, "kind": "native", "function": "sim::step", "module": "sim.so"},
            {"frame": 1, "kind": "native", "function": "sim::run", "module": "sim.so"},
        ]
    },
    "annotations": {"password": "hunter2", "colour": "blue"},
}
REPORT: dict[str, Any] = {
    "schema": 1,
    "report_id": "11111111-2222-3333-4444-555555555555",
    "created": "2026-11-20T15:00:00.123Z",
    "product": "sim",
    "version": "1.0",
    "mechanism": {"type": "python_exception", "handled": False},
    "system": {"os": "Linux", "os_version": "6.1", "arch": "x86_64"},
    "annotations": {"api_key": "hunter2", "colour": "blue"},
    "exception": {
        "type": "ValueError",
        "message": "cannot open https://me:hunter2@host/",
        "frames": [{"function": "run", "qualname": "run", "file": "sim.py", "line": 3}],
    },
}


def printing(document: object, *more: str) -> tuple[str, ...]:
    """A program in place of `lastwords analyze` that prints a document and writes its arguments."""
    program = f"import sys; print({json.dumps(document)!r}); print(sys.argv[1:], file=sys.stderr)"
    return (sys.executable, "-I", "-S", "-c", "\n".join([program, *more]))


def running(program: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", program)


def settings(command: tuple[str, ...], **more: Any) -> ProcessorSettings:
    limits = ChildLimits(wall_s=10, cpu_s=5, address_space_bytes=1 << 30)
    return ProcessorSettings(analyze_command=command, **{"limits": limits, **more})


def add(store: Store, *, dump: bytes | None = None, report: object = None) -> StoredReport:
    blobs = []
    for kind, name, content in (
        (BlobKind.DUMP, "crash.dmp", dump),
        (BlobKind.REPORT_JSON, "report.json", report),
    ):
        if content is not None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            with store.blobs.writer() as writer:
                writer.write(raw)
                sha256, size = writer.keep()
            blobs.append(NewBlob(kind=kind, name=name, sha256=sha256, size_bytes=size))
    (accepted,) = store.accept_reports(
        [
            NewReport(
                report_id=str(uuid.uuid4()),
                identity=None,
                client_report_id=None,
                received=datetime.now(timezone.utc),
                product="sim",
                version=None,
                client_id="c",
                blobs=tuple(blobs),
                annotations=(("Authorization", "Bearer hunter2"), ("colour", "blue")),
            )
        ]
    )
    return stored(store, accepted.report_id)


def stored(store: Store, report_id: str) -> StoredReport:
    report = store.report(report_id)
    assert report is not None
    return report


def work_all(store: Store, given: ProcessorSettings) -> None:
    processor = Processor(store, given, workers=1)
    while processor.work_one("test"):
        pass
    processor.stop()


def note_of(store: Store, report: StoredReport, step: str) -> Note:
    (note,) = [one for one in store.notes(report.id) if one.step == step]
    return note


def document(store: Store, report: StoredReport, kind: BlobKind) -> Any:
    (blob,) = [one for one in store.report_blobs(report.id) if one.kind is kind]
    return json.loads(store.read_blob(blob.sha256))


def test_dump_is_analysed_signed_and_grouped(store: Store) -> None:
    report = add(store, dump=b"MDMP")
    work_all(store, settings(printing(ANALYSIS)))
    done = stored(store, report.id)
    assert done.state is ReportState.PROCESSED
    assert (done.crash_reason, done.crash_address) == ("SIGSEGV", "0x0000000000000010")
    assert (done.os, done.arch) == ("Linux", "amd64")
    assert done.issue_id is not None
    assert "sim" in (done.signature or "")
    steps = [(one.step, one.outcome.value) for one in store.notes(report.id)]
    assert steps == [
        ("describe", "skipped"),
        ("analysis", "done"),
        ("scrub", "done"),
        ("sign", "done"),
        ("group", "done"),
    ]
    assert [name for name, _ in STEPS] == [name for name, _ in steps]


def test_python_exception_needs_no_dump(store: Store) -> None:
    report = add(store, report=REPORT)
    work_all(store, settings(running("raise SystemExit('must not be started')")))
    done = stored(store, report.id)
    assert done.state is ReportState.PROCESSED
    assert note_of(store, report, "analysis").outcome is NoteOutcome.SKIPPED
    assert (done.mechanism, done.crash_reason, done.os) == (
        "python_exception",
        "ValueError",
        "Linux",
    )
    assert (done.version, done.client_report_id) == ("1.0", REPORT["report_id"])
    assert done.created == datetime(2026, 11, 20, 15, 0, 0, 123000, tzinfo=timezone.utc)
    assert "ValueError" in (done.signature or "")


def test_version_of_the_document_reaches_the_issue(store: Store) -> None:
    add(store, report=REPORT)
    work_all(store, settings(running("")))
    (issue,) = store.issues()
    assert (issue.first_version, issue.last_version) == ("1.0", "1.0")


def test_secrets_are_scrubbed_everywhere_and_gone_from_the_disk(store: Store) -> None:
    report = add(store, dump=b"MDMP", report=REPORT)
    work_all(store, settings(printing(ANALYSIS)))
    assert document(store, report, BlobKind.ANALYSIS)["annotations"] == {
        "password": "[scrubbed]",
        "colour": "blue",
    }
    shown = document(store, report, BlobKind.REPORT_JSON)
    assert shown["annotations"] == {"api_key": "[scrubbed]", "colour": "blue"}
    assert shown["exception"]["message"] == "cannot open https://[scrubbed]@host/"
    assert dict(store.annotations(report.id))["Authorization"] == "[scrubbed]"
    store.remove_unreferenced()
    files = [path for path in store.data_dir.rglob("*") if path.is_file()]
    blobs = [path for path in files if path.is_relative_to(store.blobs.root)]
    assert blobs
    assert not any(b"hunter2" in path.read_bytes() for path in blobs)


def test_settings_reach_the_analysis(store: Store) -> None:
    report = add(store, dump=b"MDMP")
    command = printing(ANALYSIS, "import sys; sys.exit(1)")
    work_all(store, settings(command, symbols=("/a", "/b"), max_attempts=1))
    message = note_of(store, report, "analysis").message
    assert (
        "'--json', '--no-local-modules', '--no-cache', '--symbols', '/a', '--symbols', '/b', "
        "'the dump']" in message
    )
    again = add(store, dump=b"MDMP")
    work_all(store, settings(command, is_local_allowed=True, symbol_cache="/c"))
    assert "'--json', '--cache-dir', '/c', 'the dump']" in note_of(store, again, "analysis").message


@pytest.mark.parametrize(
    ("program", "code", "says", "state"),
    [
        (
            "import sys; print('error: no minidump\\nhint: x', file=sys.stderr); sys.exit(3)",
            "dump_not_readable",
            "no minidump",
            ReportState.PROCESSED,
        ),
        ("import os; os.abort()", "analysis_signalled", "SIGABRT", ReportState.FAILED),
        ("import time; time.sleep(99)", "analysis_wall_time", "longer", ReportState.FAILED),
        ("b = bytearray(3 << 30)", "analysis_exited", "MemoryError", ReportState.FAILED),
        ("print('no json')", "analysis_malformed", "JSON", ReportState.FAILED),
        ("print('[' * 200000)", "analysis_malformed", "JSON", ReportState.FAILED),
        ("print('[1]')", "analysis_malformed", "JSON", ReportState.FAILED),
    ],
)
def test_failed_analysis_leaves_a_note_and_the_rest_goes_on(
    store: Store, program: str, code: str, says: str, state: ReportState
) -> None:
    report = add(store, dump=b"MDMP")
    limits = ChildLimits(wall_s=1.5, cpu_s=5, address_space_bytes=1 << 30)
    work_all(store, settings(running(program), limits=limits))
    done = stored(store, report.id)
    note = note_of(store, report, "analysis")
    assert (note.outcome, note.code) == (NoteOutcome.FAILED, code)
    assert says in note.message
    assert done.state is state
    assert (says in (done.state_reason or "")) is (state is ReportState.FAILED)
    assert done.issue_id is not None, "what is known is still grouped"
    assert store.queue_depth() == 0


def test_failing_step_never_stops_the_rest(store: Store) -> None:
    def broken(_work: Work) -> StepResult:
        raise KeyError("pii@example.com")

    steps = [("broken", broken), *STEPS]
    report = add(store, report=REPORT)
    work = Work(store=store, report=report, settings=settings(running("")))
    outcome = process(work, is_last_attempt=True, steps=steps).outcome
    assert outcome is not None
    first, *rest = outcome.notes
    assert (first.outcome, first.code) == (NoteOutcome.FAILED, "step_failed")
    assert "KeyError in broken, line" in first.message
    assert "pii" not in first.message
    assert NoteOutcome.FAILED not in {one.outcome for one in rest}
    assert outcome.state is ReportState.FAILED
    assert outcome.state_reason is not None


def test_analysis_that_was_killed_from_outside_is_tried_again(store: Store, tmp_path: Path) -> None:
    """As the kernel does when memory runs out."""
    marker = tmp_path / "tried"
    program = (
        f"import os; path = {str(marker)!r}\n"
        "if not os.path.exists(path):\n    open(path, 'w'); os.kill(os.getpid(), 9)\n"
        f"print({json.dumps(ANALYSIS)!r})"
    )
    report = add(store, dump=b"MDMP")
    processor = Processor(store, settings(running(program)), workers=1)
    assert processor.work_one("test")
    waiting = stored(store, report.id)
    assert (waiting.state, waiting.issue_id) == (ReportState.RECEIVED, None)
    assert store.queue_depth() == 1
    processor.start()
    wait_for(lambda: store.queue_depth() == 0)
    processor.stop()
    assert stored(store, report.id).state is ReportState.PROCESSED
    assert len(store.issues()) == 1, "the failed attempt must not have made an issue"


def wait_for(condition: Any, timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_job_that_kills_its_server_each_time_is_given_up(store: Store) -> None:
    report = add(store, dump=b"MDMP")
    for _ in range(3):  # three servers claimed it and died
        assert store.claim_job("a server", timedelta(seconds=-1))
    work_all(store, settings(printing(ANALYSIS)))
    done = stored(store, report.id)
    assert done.state is ReportState.FAILED
    assert "given up after 3 attempts" in (done.state_reason or "")
    assert note_of(store, report, "processor").code == "given_up"
    assert store.queue_depth() == 0


def test_stop_gives_running_work_back_uncounted(store: Store) -> None:
    report = add(store, dump=b"MDMP")
    processor = Processor(store, settings(running("import time; time.sleep(60)")), workers=1)
    processor.start()
    wait_for(lambda: stored(store, report.id).state is ReportState.PROCESSING)
    started_s = time.monotonic()
    processor.stop(grace_s=0.2)
    assert time.monotonic() - started_s < 5
    assert stored(store, report.id).state is ReportState.RECEIVED
    job = store.claim_job("next", timedelta(seconds=60))
    assert job is not None
    assert job.attempts == 1


def test_worker_outlives_trouble_with_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastwords.processor.workers._TROUBLE_S", 0.05)
    real, calls = store.claim_job, []

    def flaky(owner: str, lease: timedelta) -> Any:
        calls.append(owner)
        if len(calls) < 3:
            raise OSError(28, "no space left")
        return real(owner, lease)

    monkeypatch.setattr(store, "claim_job", flaky)
    report = add(store, report=REPORT)
    processor = Processor(store, settings(running("")), workers=1)
    processor.start()
    wait_for(lambda: stored(store, report.id).state is ReportState.PROCESSED)
    processor.stop()


def test_workers_share_the_queue_and_do_each_job_once(store: Store) -> None:
    reports = [add(store, report=REPORT) for _ in range(12)]
    processor = Processor(store, settings(running("")), workers=3)
    processor.start()
    processor.wake()
    wait_for(lambda: store.queue_depth() == 0)
    processor.stop()
    assert all(stored(store, one.id).state is ReportState.PROCESSED for one in reports)
    assert {len(store.notes(one.id)) for one in reports} == {len(STEPS)}
    assert threading.active_count() < 10


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "report_json_malformed"),
        (b"[]", "report_json_malformed"),
        (b"\xff\xfe", "report_json_malformed"),
        (b'{"a": ' * 100_000, "report_json_malformed"),
        (b"9" * 10_000, "report_json_malformed"),
        (b" " * (9 << 20), "report_json_too_large"),
    ],
)
def test_unreadable_report_json_is_a_note(store: Store, content: bytes, code: str) -> None:
    report = add(store, report=content)
    work_all(store, settings(running("")))
    assert note_of(store, report, "describe").code == code
    assert stored(store, report.id).state is ReportState.PROCESSED


def test_report_json_of_wrong_types_is_partial(store: Store) -> None:
    strange = {
        "product": ["sim"],
        "created": "no time",
        "system": "Linux",
        "mechanism": {"type": 7},
        "annotations": [1],
        "exception": {"message": {"a": 1}, "notes": "x", "cause": [], "frames": {"a": 1}},
    }
    report = add(store, report=strange)
    work_all(store, settings(running("")))
    assert note_of(store, report, "describe").outcome is NoteOutcome.PARTIAL
    assert stored(store, report.id).state is ReportState.PROCESSED


def test_lost_blob_is_a_note(store: Store) -> None:
    report = add(store, report=REPORT)
    (blob,) = store.report_blobs(report.id)
    store.blobs.path(blob.sha256).unlink()
    work_all(store, settings(running("")))
    assert note_of(store, report, "describe").code == "blob_missing"
