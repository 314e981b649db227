"""Writes the report of a Python exception into the spool.

Everything it needs was imported and prepared by `install()`; with little memory or disk it writes
less instead of nothing.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

from lastwords.errors import SpoolError
from lastwords.report.json_text import json_text
from lastwords.sdk import problems
from lastwords.sdk.annotations import current_annotations
from lastwords.sdk.breadcrumbs import current_breadcrumbs
from lastwords.sdk.exception import describe
from lastwords.spool.writer import ReportWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from lastwords.config import Settings

__all__ = ["PythonReporter", "base_document", "timestamp"]

_SCHEMA = 1


def timestamp(seconds: float) -> str:
    """Write seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    milliseconds = int(seconds * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"


def _start_time() -> str | None:
    """When this process started; `None` where `/proc/self/stat` (proc(5), field 22) is missing."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read(4096).rpartition(b")")[2].split()[19])
        uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        age_s = uptime_s - ticks / os.sysconf("SC_CLK_TCK")
        return timestamp(time.time() - age_s)
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def base_document(settings: Settings, client_id: str) -> dict[str, object]:
    """Return what is the same in every report of this process: see `docs/formats/report.md`."""
    system = os.uname() if hasattr(os, "uname") else None
    return {
        "schema": _SCHEMA,
        "product": settings.product,
        "version": settings.version,
        "url": settings.url,
        "client_id": client_id,
        "process": {
            "pid": os.getpid(),
            "executable": sys.executable or None,
            "python_version": sys.version.split(maxsplit=1)[0],
            "start_time": _start_time(),
        },
        "system": {
            "os": system.sysname if system else sys.platform,
            "os_version": system.release if system else None,
            "arch": system.machine if system else None,
        },
    }


class PythonReporter:
    """Makes reports of Python exceptions.

    Args:
        settings: The settings of the installation.
        spool_dir: A spool that `ensure_spool()` has made.
        client_id: Id of this installation.
    """

    def __init__(self, settings: Settings, spool_dir: str, client_id: str) -> None:
        self.settings = settings
        self._spool_dir = spool_dir
        self._client_id = client_id
        self._left = settings.max_reports
        self._busy: set[int] = set()

    def after_fork(self) -> None:
        """Start counting again: the child is another process."""
        self._left = self.settings.max_reports
        self._busy.clear()

    def report(  # noqa: PLR0913  (what a hook is given)
        self,
        mechanism: str,
        error: BaseException | None,
        traceback: TracebackType | None,
        *,
        thread_name: str | None = None,
        description: str | None = None,
        is_final: bool = False,
    ) -> str | None:
        """Write one report; never raises.

        Args:
            mechanism: `type` of the mechanism.
            error: The exception; `None` makes no report.
            traceback: Its traceback.
            thread_name: Name of the thread that raised it.
            description: What the interpreter said beside it.
            is_final: It ends the program, so the limit of reports does not count.

        Returns:
            The report id; `None` when there is no report.
        """
        thread = _thread.get_ident()
        if error is None or thread in self._busy or not (is_final or self._take()):
            return None
        self._busy.add(thread)
        try:
            document = self._document(mechanism, description)
            return self._write(document, error, traceback, thread_name)
        except BaseException as failure:  # noqa: BLE001  (SDK border: the host's own end goes on)
            self._tell(f"no report could be written: {_words(failure)}")
            return None
        finally:
            self._busy.discard(thread)

    def _take(self) -> bool:
        self._left -= 1
        if self._left == -1:
            message = "%s reports written by this process, further exceptions are not reported"
            problems.log("warning", message, self.settings.max_reports)
        return self._left >= 0

    def _tell(self, text: str) -> None:
        if not self.settings.quiet:
            problems.say(text)

    def _document(self, mechanism: str, description: str | None) -> dict[str, object]:
        document = base_document(self.settings, self._client_id)
        process = document["process"]
        if isinstance(process, dict):
            process["tid"] = _thread.get_native_id()
        document["created"] = timestamp(time.time())
        document["mechanism"] = {
            "type": mechanism,
            "handled": False,
            "description": description,
            "signal": None,
        }
        return document

    def _write(
        self,
        document: dict[str, object],
        error: BaseException,
        traceback: TracebackType | None,
        thread_name: str | None,
    ) -> str:
        writer = ReportWriter(self._spool_dir)
        try:
            soft_errors: list[dict[str, object]] = []
            try:
                exception = describe(error, traceback, thread_name, soft_errors)
            except (MemoryError, RecursionError) as failure:
                exception = {"type": type(error).__name__, "module": type(error).__module__}
                soft_errors.append(_soft_error("exception_cut", "exception", failure))
            document.update(
                report_id=writer.report_id,
                annotations=current_annotations(),
                breadcrumbs=current_breadcrumbs(),
                exception=exception,
                dump=None,
                attachments=self._attach(writer, soft_errors),
                soft_errors=soft_errors,
            )
            self._store(writer, document, soft_errors)
        except BaseException:
            writer.abandon()
            raise
        path = writer.commit()
        self._tell(f"crash report {writer.report_id} is in {os.path.dirname(path)}")
        return writer.report_id

    def _attach(
        self, writer: ReportWriter, soft_errors: list[dict[str, object]]
    ) -> list[dict[str, object]]:
        attached = []
        for source in self.settings.attachments:
            try:
                attached.append(writer.attach(source))
            except (OSError, MemoryError) as failure:  # noqa: PERF203  (each file by itself)
                soft_errors.append(_soft_error("attachment_not_copied", source, failure))
        return attached

    def _store(
        self,
        writer: ReportWriter,
        document: dict[str, object],
        soft_errors: list[dict[str, object]],
    ) -> None:
        """Write the document; when there is no space, without attachments; then without frames."""
        try:
            writer.write_document(json_text(document))
            return  # noqa: TRY300
        except (SpoolError, MemoryError) as failure:
            writer.drop_attachments()
            document["attachments"] = []
            soft_errors.append(_soft_error("attachments_dropped", "attachments", failure))
        try:
            writer.write_document(json_text(document))
        except (SpoolError, MemoryError) as failure:
            exception = document["exception"]
            if isinstance(exception, dict):
                frames = exception.get("frames") or []
                exception.update(cause=None, context=None, notes=[], frames=frames[-10:])
            soft_errors.append(_soft_error("exception_cut", "exception", failure))
            writer.write_document(json_text(document))


def _soft_error(code: str, where: str, failure: BaseException) -> dict[str, object]:
    return {"code": code, "where": where, "message": _words(failure)}


def _words(failure: BaseException) -> str:
    if isinstance(failure, SpoolError):
        return failure.message
    reason = getattr(failure, "strerror", None) or str(failure)
    return f"{type(failure).__name__}: {reason}"[:500]
