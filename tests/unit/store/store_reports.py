"""Makes reports for the tests of the store."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

from lastwords.store import BlobKind, NewBlob, NewReport, Note, NoteOutcome, Store

NOW = datetime(2026, 11, 20, 15, 30, 30, 123456, tzinfo=timezone.utc)


def keep(store: Store, content: bytes) -> tuple[str, int]:
    with store.blobs.writer() as writer:
        writer.write(content)
        return writer.keep()


def new_report(store: Store, *, dump: bytes | None = None, **given: Any) -> NewReport:
    blobs: tuple[NewBlob, ...] = ()
    if dump is not None:
        sha256, size_bytes = keep(store, dump)
        blobs = (
            NewBlob(kind=BlobKind.DUMP, name="crash.dmp", sha256=sha256, size_bytes=size_bytes),
        )
    values: dict[str, Any] = {
        "report_id": str(uuid.uuid4()),
        "identity": None,
        "client_report_id": None,
        "received": NOW,
        "product": "sim",
        "version": "1.0",
        "client_id": "c",
        "blobs": blobs,
        "annotations": (),
        **given,
    }
    return NewReport(**values)


def note(step: str) -> Note:
    return Note(step=step, outcome=NoteOutcome.DONE, code=None, message="done", at=NOW)
