"""Finds the processes that ended together with their monitor, so that nobody told of their end.

Every watched process has a file in `sessions/` of the spool, which its monitor writes and, at the
end, removes (docs/formats/report.md). A file that is left over stands for a process that was killed
with its monitor, or for a machine that went down. What may still be alive is never reported: when
in doubt, nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lastwords.errors import SpoolError
from lastwords.report.crash_report import EndInfo, Mechanism, SoftError
from lastwords.report.json_text import MAX_DOCUMENT_BYTES
from lastwords.spool.session_ends import Machine, Session, judge
from lastwords.spool.writer import SESSIONS, STATES, ReportWriter, is_report_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.crash_report import ProcessInfo
    from lastwords.spool.spool import Spool

__all__ = ["recover_sessions"]

MAX_REPORTS = 20
"""Reports that one search writes; how many ends it leaves out stands in the newest."""

_BEGIN_S = 60.0
"""A monitor that has not written its session by then is dead."""

_UNJUDGED_S = 30 * 86_400.0
"""What cannot be judged is removed after this time."""


def recover_sessions(
    spool: Spool, *, machine: Machine | None = None, now: float | None = None
) -> list[str]:
    """Report the ends of processes that nobody is left to tell of.

    Args:
        spool: The spool.
        machine: Where this runs; found out when `None`.
        now: The time, in seconds since 1970; the clock's when `None`.

    Returns:
        Ids of the new reports, which are those of their sessions. A session that is alive, or may
        be, is left alone; one whose process has a crash report already is removed without a word,
        as is one whose monitor had been asked to end, which is how a shutdown begins.
    """
    here = machine or Machine.here()
    clock = time.time() if now is None else now
    with contextlib.ExitStack() as locks:
        lost: list[tuple[Session, EndInfo]] = []
        for session in _unlocked(spool, clock, locks):
            verdict = judge(session, here)
            end = verdict.end
            if end is None:
                if not verdict.is_alive and session.age_s > _UNJUDGED_S:
                    _remove(session.path)
                continue
            if session.text("asked_to_end") is not None or _is_told(spool, session):
                _remove(session.path)
            else:
                lost.append((session, end))
        lost.sort(key=lambda pair: pair[0].text("started") or "", reverse=True)
        left_out = lost[MAX_REPORTS:]
        for session, _ in left_out:
            _remove(session.path)
        return [
            session.session_id
            for index, (session, end) in enumerate(lost[:MAX_REPORTS])
            if _write(spool, session, _with_rest(end, 0 if index else len(left_out)), clock)
        ]


def _unlocked(spool: Spool, clock: float, locks: contextlib.ExitStack) -> Iterator[Session]:
    """Yield the sessions that no living process holds, each locked until `locks` closes."""
    folder = os.path.join(spool.directory, SESSIONS)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        session_id, extension = os.path.splitext(name)
        if extension == ".json" and is_report_id(session_id):
            session = _open(os.path.join(folder, name), session_id, clock, locks)
            if session is not None:
                yield session


def _open(path: str, session_id: str, clock: float, locks: contextlib.ExitStack) -> Session | None:
    """Lock and read one; `None` when it is held, just begun, gone, or of no use (then removed)."""
    import fcntl
    import json

    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    locks.callback(os.close, fd)
    try:
        status = os.fstat(fd)
        age_s = clock - status.st_mtime
        if status.st_size == 0 and age_s < _BEGIN_S:
            return None
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.stat(path), status):
            return None
        document = json.loads(os.read(fd, MAX_DOCUMENT_BYTES))
    except OSError:
        return None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        _remove(path)  # killed while the monitor began: there is nothing to tell
        return None
    return Session(path=path, session_id=session_id, age_s=age_s, document=document)


def _is_told(spool: Spool, session: Session) -> bool:
    """Whether the process has a report that tells of its end."""
    if any(os.path.isdir(spool.path(state, session.session_id)) for state in STATES):
        return True
    process = session.report.process
    if process is None or process.pid is None:
        return False
    for state in STATES:
        for report_id in spool.ids(state):
            with contextlib.suppress(SpoolError):
                report = spool.read(state, report_id).report
                told = report.process
                is_crash = report.mechanism is not None and report.mechanism.type == "signal"
                if is_crash and told is not None and _life(told) == _life(process):
                    return True
    return False


def _life(process: ProcessInfo) -> tuple[int | None, str | None]:
    return process.pid, process.start_time


def _with_rest(end: EndInfo, left_out: int) -> EndInfo:
    if not left_out:
        return end
    more = f"{left_out} more processes ended in the same search and have no report of their own"
    return replace(end, evidence=(*end.evidence, more))


def _write(spool: Spool, session: Session, end: EndInfo, clock: float) -> bool:
    """Write the report and remove the session; the session stays where that fails."""
    words = {
        "power_loss": "still running when the machine went down",
        "killed_with_monitor": "killed together with its monitor",
    }
    report = replace(
        session.report,
        report_id=session.session_id,
        created=_time(clock),
        mechanism=Mechanism(
            type="abnormal_end",
            handled=False,
            description=words.get(end.cause or ""),
            end=end,
        ),
        soft_errors=(
            *session.report.soft_errors,
            SoftError(
                code="annotations_lost",
                where="annotations",
                message="they were in memory only, which was lost with the process",
            ),
        ),
    )
    try:
        writer = ReportWriter(spool.directory, session.session_id)
    except SpoolError:
        return False
    try:
        writer.write_document(report.to_json().decode("utf-8", "replace"))
        writer.commit()
    except SpoolError:
        writer.abandon()
        return False
    _remove(session.path)
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _time(seconds: float) -> str:
    milliseconds = int(seconds * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"
