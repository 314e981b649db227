"""Registers and the exception: `r`, `.ecxr`, `.exr`, `.lastevent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastwords.debug.code_text import current_instruction
from lastwords.debug.error_names import exception_name
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registers import register_lines, register_value
from lastwords.debug.registry import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__ = ["event_text", "exception_lines"]

_THEME = "Registers and exception"
_VIOLATIONS = {0: "read from", 1: "write to", 8: "execute"}


@command(
    "r",
    usage="[REGISTER,…]",
    summary="registers of the chosen frame, and its instruction",
    example="r rax, rcx",
    theme=_THEME,
)
def registers(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Registers of the chosen frame."""
    frame = debugger.frame()
    if not arguments:
        yield from register_lines(debugger, frame)
        yield from current_instruction(debugger, frame)
        return
    if "=" in arguments:
        name, _sign, text = arguments.partition("=")
        word = name.strip().lstrip("@").lower()
        if not word.startswith("$t"):
            raise Problem("A dump is not changed; only $t0 to $t19 can be set: r $t0=@rsp")
        from lastwords.debug.expression import evaluate  # noqa: PLC0415

        debugger.variables[word[1:]] = evaluate(text, debugger)
        return
    for word in arguments.replace(",", " ").split():
        name = word.lstrip("@").lower()
        value = register_value(debugger, name)
        if value is None and name.startswith("$t") and name[2:].isdigit():
            value = 0
        if value is None:
            raise Problem(f"Bad register error at '{word}': it is not known in this frame")
        digits = 4 if name in {"cs", "ds", "es", "fs", "gs", "ss"} else debugger.pointer_bytes * 2
        yield f"{name}={value:0{8 if name in {'efl', 'cpsr'} else digits}x}"


@command(
    ".ecxr",
    ".excr",
    usage="",
    summary="take the registers of the exception; k shows its stack then",
    example=".ecxr;k",
    theme=_THEME,
)
def exception_context(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The exception's registers."""
    debugger.choose_exception()
    frame = debugger.frame()
    yield from register_lines(debugger, frame)
    yield from current_instruction(debugger, frame)


@command(
    ".exr",
    usage="[-1]",
    summary="the exception record",
    example=".exr -1",
    theme=_THEME,
)
def exception_record(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """The exception record."""
    if arguments not in {"", "-1"}:
        raise Problem("Only the exception of the dump can be shown: .exr -1")
    yield from exception_lines(debugger)


def exception_lines(debugger: Debugger) -> Iterable[str]:
    """The exception record, as `.exr -1` shows it."""
    record = debugger.target.exception
    if record is None:
        raise missing("exception")
    address = debugger.target.address
    place = debugger.target.symbol_text(record["address"])
    where = f" ({place})" if place else ""
    yield f"ExceptionAddress: {address(record['address'])}{where}"
    name = exception_name(debugger.target, record["code"])
    yield f"   ExceptionCode: {record['code']:08x}" + (f" ({name})" if name else "")
    yield f"  ExceptionFlags: {record['flags']:08x}"
    yield f"NumberParameters: {len(record['parameters'])}"
    for index, value in enumerate(record["parameters"]):
        yield f"   Parameter[{index}]: {address(value)}"
    yield from _meaning(debugger, record)


def _meaning(debugger: Debugger, record: dict[str, Any]) -> Iterable[str]:
    address, values = debugger.target.address, record["parameters"]
    if (
        debugger.target.is_windows
        and record["code"] in {0xC0000005, 0xC0000006}
        and len(values) > 1
    ):
        kind = _VIOLATIONS.get(values[0], "access")
        yield f"Attempt to {kind} address {address(values[1])}"
    elif not debugger.target.is_windows and record["reason"]:
        crash = record["crash_address"]
        yield f"{record['reason']} at {address(crash)}"


def event_text(debugger: Debugger) -> str:
    """The exception in one line: `Access violation - code c0000005`."""
    record = debugger.target.exception
    if record is None:
        return "no exception; the dump was taken of a living process"
    name = exception_name(debugger.target, record["code"])
    if debugger.target.is_windows:
        words = {
            0xC0000005: "Access violation",
            0x80000003: "Break instruction exception",
            0xC00000FD: "Stack overflow",
            0xC0000094: "Integer divide-by-zero",
            0xE06D7363: "C++ EH exception",
            0xC000001D: "Illegal instruction",
        }
        text = words.get(record["code"], name or "Unknown exception")
    else:
        text = record["reason"] or name or "Unknown exception"
    return f"{text} - code {record['code']:08x} (first/second chance not available)"


@command(
    ".lastevent",
    usage="",
    summary="why the dump was made",
    example=".lastevent",
    theme=_THEME,
)
def last_event(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The event of the dump."""
    record = debugger.target.exception
    pid = debugger.target.about["process_id"]
    tid = record["thread_id"] if record else debugger.current_thread().id
    ids = f"{pid:x}.{tid:x}" if pid is not None else f"{tid:x}"
    yield f"Last event: {ids}: {event_text(debugger)}"
    created = debugger.target.about["kind"]["created"]
    yield f"  debugger time: {created or 'not known'}"
