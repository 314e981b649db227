"""The head of the page: why the process died, and what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from lastwords.cli.render.clean import clean
from lastwords.report.analysis import system_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis, CrashInfo

__all__ = ["headline", "process_facts"]

_MAX_ANNOTATIONS = 40
_ACCESS_WORDS = {"read": "reading", "write": "writing", "readwrite": "changing"}


def headline(analysis: Analysis) -> Text:
    """Reason and address in one line."""
    info = analysis.crash_info
    if info is None or info.type is None:
        return Text("No crash: the dump was taken of a running process", style="bold")
    line = Text(clean(info.type), style="bold red")
    if info.address is not None:
        line.append(f" at {info.address}", style="bold")
    return line


def process_facts(analysis: Analysis) -> Iterator[Text]:
    """What the instruction did, process, system, Python, annotations: a labelled line each."""
    facts = {
        "access": _access(analysis.crash_info),
        "assertion": analysis.crash_info.assertion if analysis.crash_info else None,
        "process": _process(analysis),
        "system": _system(analysis),
        "python": _python(analysis),
    }
    for label, fact in facts.items():
        if fact:
            yield _fact(label, fact)
    for key, value in list(analysis.annotations.items())[:_MAX_ANNOTATIONS]:
        yield _fact("note", f"{key} = {value}")
    left_out = len(analysis.annotations) - _MAX_ANNOTATIONS
    if left_out > 0:
        yield _fact("note", f"{left_out} more annotations: --json")


def _fact(label: str, fact: str) -> Text:
    return Text(f"  {label:<10}", style="dim").append(clean(fact), style="not dim")


def _access(info: CrashInfo | None) -> str | None:
    if info is None:
        return None
    parts = [_accessed(info), f"instruction {info.instruction}" if info.instruction else None]
    adjusted = info.adjusted_address
    if adjusted and adjusted.kind == "null-pointer":
        parts.append(f"null pointer plus {int(adjusted.offset or 0):#x}")
    elif adjusted and adjusted.address is not None:
        parts.append(f"{adjusted.kind} address {adjusted.address}")
    return ", ".join(part for part in parts if part) or None


def _accessed(info: CrashInfo) -> str | None:
    """The access that hit the crash address, in words."""
    for access in info.memory_accesses or ():
        start, size = access.address, access.size or 1
        if start is None or info.address is None or not start <= info.address < start + size:
            continue
        word = _ACCESS_WORDS.get(access.access_type or "", "accessing")
        plural = "" if access.size == 1 else "s"
        amount = f" {access.size} byte{plural}" if access.size else ""
        guard = " (likely a guard page)" if access.is_likely_guard_page else ""
        return f"{word}{amount} at {start}{guard}"
    return None


def _process(analysis: Analysis) -> str | None:
    main = analysis.main_module
    modules = analysis.modules
    name = modules[main].filename if main is not None and main < len(modules) else None
    uptime = analysis.process_uptime
    parts = [
        name,
        None if analysis.pid is None else f"pid {analysis.pid}",
        None if uptime is None else f"up {uptime} s",
        f"{len(analysis.threads)} thread{'' if len(analysis.threads) == 1 else 's'}",
    ]
    return ", ".join(part for part in parts if part)


def _system(analysis: Analysis) -> str | None:
    system = analysis.system_info
    if system is None:
        return None
    name = system_name(system.os, system.os_ver)
    return ", ".join(part for part in (name, system.cpu_arch) if part) or None


def _python(analysis: Analysis) -> str | None:
    python = analysis.python
    if python is None:
        return None
    parts = [f"CPython {python.version}"]
    if python.gil_holder_thread is not None:
        parts.append(f"thread {python.gil_holder_thread} holds the GIL")
    if python.finalizing:
        parts.append("shutting down")
    if python.exception:
        parts.append(f"{python.exception} is being raised")
    return ", ".join(parts)
