"""The head of the page: why the process died, and what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text
from lastwords.report.analysis import is_crash, is_fault, system_name
from lastwords.report.dump_facts import DumpFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis, CrashInfo

__all__ = ["access_words", "headline", "process_facts", "process_name"]

_MAX_ANNOTATIONS = 40
_ACCESS_WORDS = {"read": "reading", "write": "writing", "readwrite": "changing"}


def headline(analysis: Analysis) -> Text:
    """Reason and address in one line."""
    info = analysis.crash_info
    if info is None or info.type is None or not is_crash(info.type):
        return Text("No crash: the dump was taken of a running process", style="bold")
    line = Text(clean(info.type), style="bold red")
    if info.address is not None:
        line.append(f" at {info.address}", style="bold")
    if info.stack_overflow is not None and "STACK_OVERFLOW" not in info.type:
        line.append(", stack overflow", style="bold red")
    return line


def process_facts(analysis: Analysis) -> Iterator[Text]:
    """What the instruction did, process, system, Python, annotations: a labelled line each."""
    facts = {
        "access": access_words(analysis),
        "stack": _stack_overflow(analysis.crash_info),
        "exception": _cpp_exception(analysis.crash_info),
        "assertion": analysis.crash_info.assertion if analysis.crash_info else None,
        "said": _last_words(analysis),
        "process": _process(analysis),
        "system": _system(analysis),
        "python": _python(analysis),
        "dump": _dump(analysis),
        "converted": _origin(analysis),
    }
    for label, fact in facts.items():
        if fact:
            yield _fact(label, fact)
    dump = analysis.lastwords.dump if analysis.lastwords else DumpFacts()
    for comment in dump.comments:
        for line in comment.splitlines():
            yield _fact("comment", line)
    for key, value in list(analysis.annotations.items())[:_MAX_ANNOTATIONS]:
        yield _fact("note", f"{key} = {value}")
    left_out = len(analysis.annotations) - _MAX_ANNOTATIONS
    if left_out > 0:
        yield _fact("note", f"{left_out} more annotations: --json")


def _fact(label: str, fact: str) -> Text:
    return Text(f"  {label:<10}", style="dim").append(clean(fact))


def access_words(analysis: Analysis) -> str | None:
    """What the instruction did that failed; `None` when no instruction did."""
    info = analysis.crash_info
    if info is None or not is_fault(info.type):
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


def process_name(analysis: Analysis) -> str | None:
    """The file name of the program."""
    main = analysis.main_module
    modules = analysis.modules
    return modules[main].filename if main is not None and main < len(modules) else None


def _process(analysis: Analysis) -> str | None:
    uptime = analysis.process_uptime
    parts = [
        process_name(analysis),
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


def _stack_overflow(info: CrashInfo | None) -> str | None:
    found = info.stack_overflow if info else None
    if found is None:
        return None
    used = None if found.stack_bytes is None else f"{found.stack_bytes:,} bytes in use"
    limit = None if found.limit_bytes is None else f"its size is {found.limit_bytes:,}"
    return ", ".join(part for part in ("the thread's stack is full", used, limit) if part)


def _cpp_exception(info: CrashInfo | None) -> str | None:
    found = info.cpp_exception if info else None
    if found is None:
        return None
    name = found.type or "of a type that is not known"
    return f"C++, not caught: {name}: {found.what}" if found.what else f"C++, not caught: {name}"


def _last_words(analysis: Analysis) -> str | None:
    """What the thread wrote before it died, out of the report that is in our dumps."""
    found: object = analysis.lastwords.metadata if analysis.lastwords else None
    for key in ("mechanism", "last_words", "text"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _dump(analysis: Analysis) -> str | None:
    """What the dump is, and what nobody can find in it."""
    dump = analysis.lastwords.dump if analysis.lastwords else DumpFacts()
    if dump.kind is None:
        return None
    lacks = ", ".join(word.replace("_", " ") for word in dump.lacks)
    parts = [
        f"{dump.kind}, made {dump.created}" if dump.created else dump.kind,
        "cut: memory was left out" if dump.is_cut else None,
        f"not in it: {lacks}" if lacks else None,
    ]
    return "; ".join(part for part in parts if part)


def _origin(analysis: Analysis) -> str | None:
    """What the minidump that was analysed was made from, and is not kept."""
    origin = analysis.lastwords.converted_from if analysis.lastwords else None
    return f"from {origin}" if origin else None
