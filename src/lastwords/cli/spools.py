"""What `send` and `spool` share: which spools are meant, and how a report reads in one line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.cli.render.clean import clean
from lastwords.config import state_dir
from lastwords.report.mechanism_words import cause_words
from lastwords.spool.sessions import recover_sessions
from lastwords.spool.spool import Spool

if TYPE_CHECKING:
    from lastwords.report.crash_report import CrashReport, Mechanism
    from lastwords.spool.spool import SpooledReport

__all__ = [
    "open_spools",
    "report_line",
    "report_title",
    "say_where_nothing_is",
    "size_text",
    "spooled_json",
]

_MOST_SAID = 80


def open_spools(dump_dir: str | None) -> list[Spool]:
    """Return the spool that was named, or all spools of this user; empty when there is none.

    Processes that ended unseen are told of by this: each gets its report.

    Raises:
        SpoolError: The one that was named is not there.
    """
    spools = _spools(dump_dir)
    for spool in spools:
        recover_sessions(spool)
    return spools


def _spools(dump_dir: str | None) -> list[Spool]:
    if dump_dir is not None:
        return [Spool(dump_dir, make=False)]
    root = Path(state_dir())
    return [
        Spool(str(stage.parent), make=False)
        for stage in sorted(root.glob("*/pending"))
        if stage.is_dir()
    ]


def say_where_nothing_is() -> None:
    """Tell on stderr that this user has no spool; that is no failure, but may be a surprise."""
    click.echo(f"no application has reported to {state_dir()}", err=True)
    click.echo(
        "hint: if yours was given a dump_dir, name it: --dump-dir DIR",
        err=True,
    )


def report_title(report: CrashReport) -> str:
    """Say in a few words what happened."""
    if report.exception is not None and report.exception.type is not None:
        return report.exception.type
    mechanism = report.mechanism
    if mechanism is None:
        return "unknown"
    if mechanism.end is not None:
        is_likely = mechanism.end.certainty == "likely"
        words = cause_words(mechanism.end.cause or "unknown")
        return f"abnormal end: {'likely ' if is_likely else ''}{words}"
    if mechanism.type == "requested":
        return mechanism.description or "dump on demand"
    if mechanism.signal is not None and mechanism.signal.name:
        return _signal_title(mechanism, mechanism.signal.name)
    return mechanism.type or "unknown"


def _signal_title(mechanism: Mechanism, name: str) -> str:
    """Signal, and what the process said of its end, as far as it did."""
    if mechanism.stack_overflow is not None:
        return f"{name}: stack overflow"
    said = mechanism.last_words.text if mechanism.last_words else None
    said = said or mechanism.abort_message
    if mechanism.cpp_exception is not None:
        said = mechanism.cpp_exception.what or mechanism.cpp_exception.type
    if not said:
        return name
    line = said.splitlines()[0]
    return f"{name}: {line[:_MOST_SAID]}{'…' if len(line) > _MOST_SAID else ''}"


def size_text(size_bytes: int) -> str:
    """Write a size for people."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1000:.0f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:.1f} MB"


def report_line(spooled: SpooledReport) -> str:
    """One report in one line."""
    report = spooled.report
    product = f"{report.product or 'unknown'} {report.version or ''}".strip()
    line = (
        f"{spooled.report_id}  {report.created or 'no time':24}  {product}: "
        f"{report_title(report)}, {size_text(spooled.size_bytes)}"
    )
    return clean(line)


def spooled_json(spooled: SpooledReport) -> dict[str, Any]:
    """One report for `--json`: where it is, its delivery, and the document itself."""
    return {
        "report_id": spooled.report_id,
        "state": spooled.state,
        "path": spooled.path,
        "size_bytes": spooled.size_bytes,
        "delivery": asdict(spooled.delivery),
        "report": asdict(spooled.report),
    }
