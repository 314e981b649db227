"""`dump()`: a dump of the running process, without a crash."""

from __future__ import annotations

import os

from lastwords.errors import CODES, CaptureError
from lastwords.report.json_text import json_text
from lastwords.report.scrub import scrub_text
from lastwords.sdk import native, problems
from lastwords.sdk.additions import refresh_on_dump
from lastwords.sdk.installation import installed_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["dump"]

_BUDGET_MS = 120_000
"""Most time that the calling thread waits: a full dump takes as long as the disk needs."""
_MOST_REASON = 2_000


def dump(
    kinds: str | Iterable[str] = "mini",
    reason: str | None = None,
    file: str | os.PathLike[str] | None = None,
) -> str | None:
    """Write a dump of this process, which runs on.

    Works from any thread, several at once (one after another), and in a forked child. Other
    threads stand still while registers and memory are read; the calling one waits for the end.
    A thread that crashes meanwhile is reported as ever.

    Args:
        kinds: One kind of dump or several: `mini`, `triage`, `full`, `miniplus`, `custom:FLAGS`,
            `callback:LIBRARY`, `kernel` (docs/guides/dumps.md).
        reason: Why, in a few words; the report's description.
        file: Only the dumps, under this name, instead of a report in the spool. `PROCESSNAME`,
            `PID`, `YYMMDD`, `HHMMSS` in it are replaced, missing folders are made, a file that is
            there stays (the new one gets a number). Further kinds get `-KIND` before the suffix.

    Returns:
        The folder of the report in the spool, or the path of the first dump; `None` when there is
        none. Never raises: why not is warned about (`LastwordsWarning`).
    """
    try:
        return _dump(kinds, reason, file)
    except CaptureError as error:
        problems.warn(error)
    except Exception as error:  # noqa: BLE001  (SDK border)
        message = f"dump() failed with {type(error).__name__}: {error}"
        problems.warn(CaptureError("dump_not_made", message))
    return None


def _dump(
    kinds: str | Iterable[str], reason: str | None, file: str | os.PathLike[str] | None
) -> str | None:
    from lastwords.config import Settings
    from lastwords.dump_kinds import dump_plan, parse_kinds

    try:
        wanted = parse_kinds(kinds if isinstance(kinds, str) else list(kinds))
    except (TypeError, ValueError) as error:
        expected = error if isinstance(error, ValueError) else "text or a list of texts"
        message = f"kinds is {kinds!r:.200}, expected {expected}"
        raise CaptureError("order_invalid", message, 'for example: dump("full")') from error
    settings = installed_settings() or Settings()
    order = dump_plan(
        wanted,
        max_dump_mb=settings.max_dump_mb,
        min_free_mb=settings.min_free_mb,
        compress=settings.compress_dumps,
        python_locals=settings.python_locals,
    )
    order["reason"] = None if reason is None else scrub_text(str(reason)[:_MOST_REASON])
    order["file"] = None if file is None else os.path.abspath(os.fsdecode(file))
    refresh_on_dump()
    result = native.dump(json_text(order), _BUDGET_MS)
    _raise_failure(result.get("error"))
    problems.log("info", "%s", result.get("line"))
    path = result.get("path")
    return path if isinstance(path, str) else None


def _raise_failure(error: dict[str, str] | None) -> None:
    if error:
        code = error["code"] if error["code"] in CODES else "dump_not_made"
        raise CaptureError(code, error["message"], error["hint"])
