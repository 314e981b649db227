"""One dump of many as a row: file, reason, frame."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean, short_path
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from pathlib import Path

    from lastwords.analyze.bulk import Failure, Summary

__all__ = ["failure_row", "summary_row"]

_REASON_WIDTH = 44


def summary_row(path: Path, summary: Summary, width: int) -> Text:
    """`a.dmp  SIGSEGV / SEGV_MAPERR at 0x0  * heat::Plate::relax  …/victim/_physics.cpp:93`."""
    reason = clean(summary.reason or "no crash")
    if summary.address is not None:
        reason += f" at {summary.address}"
    line = Text(f"{clean(os.fspath(path)):<{width}}  ")
    line.append(f"{reason:<{_REASON_WIDTH}}  ", style="red" if summary.reason else "dim")
    if summary.function is None:
        line.rstrip()
        return line
    line.append("* " if summary.is_in_app else "  ", style="bold")
    line.append(clean(summary.function), style="bold" if summary.is_in_app else "")
    if summary.file:
        number = "" if summary.line is None else f":{summary.line}"
        line.append(f"  {short_path(summary.file)}{number}")
    elif summary.module and not summary.function.startswith(summary.module):
        line.append(f"  ({clean(summary.module)})", style="dim")
    return line


def failure_row(path: Path, failure: Failure, width: int) -> Text:
    """`b.dmp  not analysed: the file is empty [dump_empty]`."""
    name = os.fspath(path)
    message = failure.message.removeprefix(f"{name}: ")
    line = Text(f"{clean(name):<{width}}  ").append("not analysed: ", style="yellow")
    return line.append(f"{clean(message)} [{failure.code}]")
