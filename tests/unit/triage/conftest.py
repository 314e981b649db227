"""A store with reports, for the tests of triage."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

import pytest

from lastwords.signature import from_exception, sign
from lastwords.store import Found, NewReport, Outcome, ReportState
from lastwords.triage import assign

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=timezone.utc)


class Reports:
    """Puts reports into a store as collector and processor do."""

    def __init__(self, store):
        self.store = store

    def add(
        self, function="step", *, version="1.0", client="a", product="sim", age=timedelta(), **more
    ):
        report_id = str(uuid.uuid4())
        self.store.accept_reports(
            [
                NewReport(
                    report_id=report_id,
                    identity=None,
                    client_report_id=None,
                    received=NOW - age,
                    product=product,
                    version=version,
                    client_id=client,
                    blobs=(),
                    annotations=(),
                )
            ]
        )
        job = self.store.claim_job("test", timedelta(minutes=1))
        result = self.sign(function, **more)
        put = assign(self.store, report_id, result)
        self.store.end_job(
            job,
            Outcome(state=ReportState.PROCESSED, notes=(), found=Found(os="Linux", arch="x86_64")),
        )
        return report_id, put

    @staticmethod
    def sign(function, kind="ValueError", message="bad"):
        frames = [{"qualname": function, "file": "/w/src/pkg/mod.py"}] if function else []
        return sign(
            from_exception(
                {"type": kind, "module": "builtins", "message": message, "frames": frames}
            )
        )


@pytest.fixture
def reports(store):
    return Reports(store)


@pytest.fixture
def now():
    return NOW
