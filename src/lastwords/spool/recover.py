"""Completes what dead processes left in `new/`: no report that was begun is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from lastwords.errors import SpoolError
from lastwords.report.crash_report import SCHEMA, CrashReport, Mechanism
from lastwords.report.json_text import json_text, read_json_file
from lastwords.spool.spool import REMOVED_PREFIX, Spool
from lastwords.spool.writer import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["recover"]

_DEAD_QUIET_S = 60.0
"""The writer is gone, but its monitor may still be at work: wait this long after the last write."""

_UNKNOWN_QUIET_S = 600.0
"""It is not known who writes; nobody takes longer than this between two writes."""


def recover(
    spool: Spool, *, fallback: Mapping[str, str] | None = None, now: float | None = None
) -> list[str]:
    """Move reports whose process has died from `new/` to `pending/`.

    Args:
        spool: The spool.
        fallback: `product`, `version` and `url` for a dump that has no readable `report.json`;
            the dump's own process may have been another version, which its soft error says.
        now: The time, in seconds since 1970; the clock's when `None`.

    Returns:
        Ids of the recovered reports. Each has a soft error that says what was missing. A report
        that is still being written, or holds neither document nor dump, is left alone; empty
        directories and half-deleted reports are removed.
    """
    clock = time.time() if now is None else now
    _finish_deletions(spool)
    recovered = []
    for report_id in spool.ids("new"):
        path = spool.path("new", report_id)
        if clock - _last_write(path) < _quiet_time(path):
            continue
        with contextlib.suppress(OSError, SpoolError), spool.claim("new", report_id):
            if _complete(path, report_id, fallback or {}):
                spool.move(report_id, "new", "pending")
                recovered.append(report_id)
    return recovered


def _finish_deletions(spool: Spool) -> None:
    folder = os.path.join(spool.directory, "new")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(REMOVED_PREFIX):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _last_write(path: str) -> float:
    newest = 0.0
    for folder, _, names in os.walk(path):
        for name in ("", *names):
            with contextlib.suppress(OSError):
                newest = max(newest, os.lstat(os.path.join(folder, name)).st_mtime)
    return newest


def _quiet_time(path: str) -> float:
    """How long the directory has to be unchanged before its writer counts as dead."""
    try:
        process = read_json_file(os.path.join(path, "report.json")).get("process")
    except (OSError, ValueError):
        return _UNKNOWN_QUIET_S
    pid = process.get("pid") if isinstance(process, dict) else None
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
        return _UNKNOWN_QUIET_S
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return _DEAD_QUIET_S
    except OSError:
        return _UNKNOWN_QUIET_S
    return _UNKNOWN_QUIET_S


def _complete(path: str, report_id: str, fallback: Mapping[str, str]) -> bool:
    """Make the report whole; whether it holds anything worth sending."""
    document = os.path.join(path, "report.json")
    dump = os.path.join(path, "dump.dmp")
    has_dump = os.path.isfile(dump) and os.path.getsize(dump) > 0
    try:
        report = read_json_file(document)
        note = "the process ended before the report was complete"
    except (OSError, ValueError):
        if not has_dump:
            _remove_empty(path)
            return False
        _keep_damaged(document)
        report = asdict(_minimal(report_id, dump, fallback))
        note = (
            "the process ended before report.json was written; "
            "product and version are those of the program that recovered it"
        )
    if has_dump and not report.get("dump"):
        size_bytes = os.path.getsize(dump)
        report["dump"] = {"file": "dump.dmp", "size_bytes": size_bytes, "kind": "mini"}
    problem = {"code": "report_recovered", "where": "report.json", "message": note}
    soft_errors = report.get("soft_errors")
    known = list(soft_errors) if isinstance(soft_errors, (list, tuple)) else []
    report.update(report_id=report_id, soft_errors=[*known, problem])
    write_file(document + ".tmp", json_text(report).encode())
    os.replace(document + ".tmp", document)
    _remove_unfinished(path)
    return True


def _remove_unfinished(path: str) -> None:
    """Remove what the monitor was writing when it ended: it replaces files by renaming these."""
    for name in os.listdir(path):
        if name.endswith(".part"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(path, name))


def _minimal(report_id: str, dump: str, fallback: Mapping[str, str]) -> CrashReport:
    made = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(os.path.getmtime(dump)))
    return CrashReport(
        schema=SCHEMA,
        report_id=report_id,
        created=made + ".000Z",
        product=fallback.get("product"),
        version=fallback.get("version"),
        url=fallback.get("url"),
        client_id=fallback.get("client_id"),
        mechanism=Mechanism(type="signal", handled=False),
    )


def _keep_damaged(document: str) -> None:
    """Keep an unreadable document as an attachment: it may still tell a human something."""
    if not os.path.isfile(document) or os.path.getsize(document) == 0:
        return
    folder = os.path.join(os.path.dirname(document), "attachments")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.replace(document, os.path.join(folder, "report.json.damaged"))


def _remove_empty(path: str) -> None:
    """Remove a directory in which nothing but the claim's lock lies."""
    with contextlib.suppress(OSError):
        if set(os.listdir(path)) <= {"delivery.lock"}:
            shutil.rmtree(path)
