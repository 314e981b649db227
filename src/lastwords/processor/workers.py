"""The threads that work through the jobs; each runs one child process at a time."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from lastwords.processor.isolate import Interrupt
from lastwords.processor.pipeline import process
from lastwords.processor.work import Stopped, Work
from lastwords.store import Note, NoteOutcome, Outcome, ReportState

if TYPE_CHECKING:
    from lastwords.processor.pipeline import Processed
    from lastwords.processor.work import ProcessorSettings
    from lastwords.store import Job, Store

__all__ = ["Processor", "default_workers"]

_LOG = logging.getLogger("lastwords.processor")
_POLL_S = 1.0
_LEASE_MARGIN_S = 120.0
_RETRY_S = 2.0
_TROUBLE_S = 5.0


def default_workers() -> int:
    """How many children may run at once: one processor is left to the collector."""
    return max(1, (os.cpu_count() or 1) - 1)


class Processor:
    """Claims jobs and processes them until it is stopped.

    Args:
        store: An open store; this process must be its owner.
        settings: How reports are processed.
        workers: Number of threads.
    """

    def __init__(
        self, store: Store, settings: ProcessorSettings, *, workers: int | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._lease = timedelta(seconds=settings.limits.wall_s + _LEASE_MARGIN_S)
        self._is_stopping = threading.Event()
        self._interrupt = Interrupt()
        self._news = threading.Event()
        self._workers = workers or default_workers()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads; once."""
        for number in range(self._workers):
            name = f"lastwords-worker-{number}"
            thread = threading.Thread(target=self._run, args=(number,), name=name)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Say that there is a new job; never blocks."""
        self._news.set()

    def stop(self, *, grace_s: float = 5.0) -> None:
        """End the threads; a child that outlives the grace is killed and its job given back.

        What waits stays queued for the next start.
        """
        self._is_stopping.set()
        self._news.set()
        deadline_s = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self._interrupt.set()
        for thread in self._threads:
            thread.join()
        self._interrupt.close()

    def _run(self, number: int) -> None:
        owner = f"{os.getpid()}-{number}"
        while not self._is_stopping.is_set():
            try:
                self._news.clear()  # before looking: what comes later is news
                is_worked = self.work_one(owner)
                if not is_worked:
                    self._store.remove_unreferenced()
            except Exception:  # noqa: BLE001  (border: a full disk passes, the thread must outlive it)
                _LOG.exception("worker in trouble", extra={"owner": owner})
                self._is_stopping.wait(_TROUBLE_S)
                continue
            if not is_worked:
                self._news.wait(_POLL_S)

    def work_one(self, owner: str) -> bool:
        """Claim and process one job; `False` when none is ready."""
        job = self._store.claim_job(owner, self._lease)
        if job is None:
            return False
        report = self._store.report(job.report_id)
        if job.attempts > self._settings.max_attempts or report is None:
            self._store.end_job(job, _given_up(job))
            return True
        is_last_attempt = job.attempts >= self._settings.max_attempts
        work = Work(
            store=self._store,
            report=report,
            settings=self._settings,
            interrupt=self._interrupt,
        )
        try:
            self._end(job, process(work, is_last_attempt=is_last_attempt))
        except Stopped:
            self._store.release_job(job)
        return True

    def _end(self, job: Job, processed: Processed) -> None:
        if processed.outcome is None:
            reason = processed.retry_reason or "unknown"
            delay = timedelta(seconds=_RETRY_S * 2**job.attempts)
            is_ours = self._store.retry_job(job, reason, delay)
        else:
            is_ours = self._store.end_job(job, processed.outcome)
        if not is_ours:
            _LOG.warning("job was taken over", extra={"report_id": job.report_id})


def _given_up(job: Job) -> Outcome:
    reason = job.last_error or "the server ended each time while it was processed"
    message = f"given up after {job.attempts - 1} attempts: {reason}"
    note = Note(
        step="processor",
        outcome=NoteOutcome.FAILED,
        code="given_up",
        message=message,
        at=job.claimed_at,
    )
    return Outcome(state=ReportState.FAILED, state_reason=message, notes=(note,))
