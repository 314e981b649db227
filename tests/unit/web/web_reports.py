"""Puts reports into a store as collector and processor do, for the tests of the pages."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone

from lastwords.signature import from_report, sign
from lastwords.store import (
    BlobKind,
    Found,
    NewBlob,
    NewDocument,
    NewReport,
    Note,
    NoteOutcome,
    Outcome,
    ReportState,
)
from lastwords.triage import assign

PHYSICS = "_physics.cpython-311-x86_64-linux-gnu.so"


def native(function, module=PHYSICS, *, line=None, file="/build/victim/_physics.cpp", **more):
    return {
        "kind": "native",
        "function": function,
        "module": module,
        "module_offset": "0x0000000000001a40",
        "offset": "0x00007f1234561a40",
        "trust": "cfi",
        "file": file if line else None,
        "line": line,
        **more,
    }


def python(qualname, line, file="/opt/app/lib/python3.11/site-packages/victim/simulation.py"):
    return {
        "kind": "python",
        "function": qualname,
        "file": file,
        "line": line,
        "trust": "python",
        "python": {"qualname": qualname, "file": file, "line": line, "placement": "anchored"},
    }


FRAMES = [
    native(
        "(anonymous namespace)::advance(Grid&, double)",
        line=88,
        trust="context",
        inlines=[{"function": "Grid::at", "file": "/build/victim/grid.h", "line": 31}],
    ),
    native("pybind11::cpp_function::dispatcher(_object*, _object*, _object*)", line=900),
    native("cfunction_call", "python3.11", plumbing=True),
    native("_PyObject_MakeTpCall", "python3.11", plumbing=True),
    python("Simulation.step", 42),
    python("Thread.run", 975, "/usr/lib/python3.11/threading.py"),
    python("Thread._bootstrap", 995, "/usr/lib/python3.11/threading.py"),
    native("thread_run", "python3.11"),
    native(None, "libfoo.so.1", trust="scan", unknown_frames={"about": 2, "stack_bytes": 96}),
    native("start_thread", "libc.so.6", line=442, file="/build/glibc/nptl/pthread_create.c"),
    native("clone3", "libc.so.6"),
]


def analysis(frames=FRAMES, **more):
    crashing = {"thread_id": 4711, "thread_name": "worker-3", "frames": list(frames)}
    other = {
        "thread_id": 4700,
        "thread_name": "python3",
        "frames": [native("poll", "libc.so.6"), python("main", 12)],
        "python": {"holds_gil": True},
    }
    return {
        "status": "OK",
        "crash_info": {
            "type": "SIGSEGV / SEGV_MAPERR",
            "address": "0x0000000000000010",
            "adjusted_address": {"kind": "null-pointer", "offset": "0x10"},
            "crashing_thread": 1,
            "assertion": None,
        },
        "system_info": {
            "os": "Linux",
            "os_ver": "6.1.0",
            "cpu_arch": "amd64",
            "cpu_info": "family 6",
        },
        "threads": [other, crashing],
        "crashing_thread": {**crashing, "threads_index": 1},
        "modules": [
            {
                "filename": PHYSICS,
                "base_addr": "0x00007f1234560000",
                "end_addr": "0x00007f1234570000",
                "code_id": "bb" * 20,
                "debug_id": "AA" * 16 + "0",
                "loaded_symbols": True,
            },
            {"filename": "libfoo.so.1", "code_id": "cc" * 20, "missing_symbols": True},
            {"filename": "libc.so.6", "corrupt_symbols": True},
        ],
        "annotations": {"scene": "ocean"},
        "soft_errors": [
            {"code": "no_cfi", "where": "thread 4700", "message": "no call frame information"}
        ],
        **more,
    }


def signal_report(**more):
    return {
        "schema": 1,
        "product": "victim",
        "version": "1.2.0",
        "client_id": "c1",
        "mechanism": {
            "type": "signal",
            "signal": {"number": 11, "name": "SIGSEGV", "code": 1, "code_name": "SEGV_MAPERR"},
        },
        "process": {"pid": 4700, "executable": "/usr/bin/python3.11", "python_version": "3.11.7"},
        "annotations": {"frame": 1202, "is_demo": True},
        "exception": None,
        **more,
    }


def exception_report(**more):
    file = "/opt/app/lib/python3.11/site-packages/victim/simulation.py"
    cause = {
        "type": "KeyError",
        "module": "builtins",
        "message": "'gravity'",
        "frames": [{"function": "load", "qualname": "load", "file": file, "line": 9}],
    }
    return {
        "schema": 1,
        "mechanism": {"type": "python_exception", "signal": None},
        "exception": {
            "type": "SettingsError",
            "module": "victim.settings",
            "message": "no gravity\nin the settings",
            "notes": ["check settings.toml"],
            "thread_name": "MainThread",
            "frames": [
                {
                    "function": "<module>",
                    "qualname": "<module>",
                    "file": "/opt/app/run.py",
                    "line": 3,
                },
                {"function": "start", "qualname": "Simulation.start", "file": file, "line": 17},
            ],
            "cause": cause,
            "context": cause,
        },
        **more,
    }


class WebReports:
    """Adds reports in every state."""

    def __init__(self, store):
        self.store = store

    def receive(self, *, version="1.2.0", client="c1", age=timedelta(), files=(), product="victim"):
        """`files` as (kind, name, content)."""
        report_id = str(uuid.uuid4())
        blobs = tuple(self._keep(*one) for one in files)
        self.store.accept_reports(
            [
                NewReport(
                    report_id=report_id,
                    identity=None,
                    client_report_id=str(uuid.uuid4()),
                    received=datetime.now(timezone.utc) - age,
                    product=product,
                    version=version,
                    client_id=client,
                    blobs=blobs,
                    annotations=(("prod", product), ("scene", "lake")),
                )
            ]
        )
        return report_id

    def process(
        self, report_id, report, analysis_document=None, *, state=ReportState.PROCESSED, **more
    ):
        job = self.store.claim_job("test", timedelta(minutes=1))
        assert job.report_id == report_id
        put = assign(self.store, report_id, sign(from_report(report, analysis_document)))
        documents = [
            NewDocument(kind=BlobKind.REPORT_JSON, name="report.json", content=encoded(report))
        ]
        if analysis_document is not None:
            content = encoded(analysis_document)
            documents.append(
                NewDocument(kind=BlobKind.ANALYSIS, name="analysis.json", content=content)
            )
        notes = (
            Note(
                step="analysis",
                outcome=NoteOutcome.PARTIAL,
                code="symbols_missing",
                message="symbols of 1 module are missing",
                at=datetime.now(timezone.utc),
            ),
        )
        self.store.end_job(
            job,
            Outcome(
                state=state,
                notes=notes,
                documents=tuple(documents),
                found=Found(os="Linux", arch="x86_64", crash_reason="SIGSEGV / SEGV_MAPERR"),
                **more,
            ),
        )
        return put.issue_id

    def native(self, *, report=None, document=None, **more):
        """A processed native crash with a dump; returns report id and issue id."""
        files = [(BlobKind.DUMP, "dump.dmp", b"MDMP" + bytes(4096))]
        report_id = self.receive(files=files, **more)
        issue_id = self.process(report_id, report or signal_report(), document or analysis())
        return report_id, issue_id

    def exception(self, *, report=None, **more):
        report_id = self.receive(**more)
        return report_id, self.process(report_id, report or exception_report())

    def _keep(self, kind, name, content):
        with self.store.blobs.writer() as writer:
            writer.write(content)
            sha256, size = writer.keep()
        return NewBlob(kind=kind, name=name, sha256=sha256, size_bytes=size)


def encoded(document):
    return json.dumps(document).encode()
