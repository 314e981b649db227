"""What `install()` does behind the application's back: recover, prune, deliver old reports.

A daemon thread, started only when the spool holds something, and at most once in a process. It
delivers only where the consent gate allows that without asking.
"""

from __future__ import annotations

import threading
import time

from lastwords.sdk.problems import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.config import Settings

__all__ = ["start_housekeeping"]


_DELAY_S = 0.1
"""Lets the application start first: the imports below hold the GIL for some 40 ms."""


def start_housekeeping(settings: Settings, spool_dir: str, client_id: str) -> threading.Thread:
    """Start the thread; it ends by itself and never keeps the process alive."""
    thread = threading.Thread(
        target=_keep_house,
        args=(settings, spool_dir, client_id),
        name="lastwords-housekeeping",
        daemon=True,
    )
    thread.start()
    return thread


def _keep_house(settings: Settings, spool_dir: str, client_id: str) -> None:
    time.sleep(_DELAY_S)
    try:
        from lastwords.spool.prune import prune
        from lastwords.spool.recover import recover
        from lastwords.spool.sessions import recover_sessions
        from lastwords.spool.spool import Spool

        spool = Spool(spool_dir)
        fallback = {
            "product": settings.product,
            "version": settings.version,
            "client_id": client_id,
        }
        if settings.url is not None:
            fallback["url"] = settings.url
        for report_id in recover(spool, fallback=fallback):
            log("info", "recovered crash report %s of a process that has died", report_id)
        for report_id in recover_sessions(spool):
            log("warning", "a process ended unseen: report %s", report_id)
        result = prune(
            spool, max_bytes=int(settings.max_spool_mb * 1e6), keep_days=settings.keep_days
        )
        if result.undelivered:
            log(
                "warning",
                "removed %s undelivered crash reports to keep %s below %s MB",
                result.undelivered,
                spool_dir,
                settings.max_spool_mb,
            )
        if settings.url is not None and not settings.skip_old_reports:
            _deliver(settings, spool_dir)
    except Exception as error:  # noqa: BLE001  (SDK border: a thread in someone else's process)
        log("warning", "housekeeping of %s ended early: %s", spool_dir, error)


def _deliver(settings: Settings, spool_dir: str) -> None:
    from lastwords.spool.spool import Spool
    from lastwords.upload.consent import decide
    from lastwords.upload.delivery import Delivery, deliver
    from lastwords.upload.sender import Timeouts

    delivery = Delivery(
        gate=lambda product, _url, _reports: decide(product, setting=settings.consent),
        url=settings.url,
        timeouts=Timeouts(connect_s=settings.connect_timeout_s, idle_s=settings.idle_timeout_s),
        retry_count=settings.retry_count,
    )
    for outcome in deliver(Spool(spool_dir), delivery):
        log(
            "info",
            "crash report %s: %s%s",
            outcome.report_id,
            outcome.outcome,
            f" ({outcome.reason})" if outcome.reason else "",
        )
