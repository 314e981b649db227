"""Registers: their names on each processor, and how cdb lays them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.debug.numbers import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = ["register_lines", "register_value"]

_X64_ROWS = (
    ("rax", "rbx", "rcx"),
    ("rdx", "rsi", "rdi"),
    ("rip", "rsp", "rbp"),
    ("r8", "r9", "r10"),
    ("r11", "r12", "r13"),
    ("r14", "r15"),
)
_X86_ROWS = (("eax", "ebx", "ecx", "edx", "esi", "edi"),)
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_FLAGS = (
    (11, "ov", "nv"),
    (10, "dn", "up"),
    (9, "ei", "di"),
    (7, "ng", "pl"),
    (6, "zr", "nz"),
    (4, "ac", "na"),
    (2, "pe", "po"),
    (0, "cy", "nc"),
)
_PARTS_64 = {
    **{f"e{name}": (f"r{name}", 4) for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
    **{name: (f"r{name}", 2) for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
    **{f"{name}l": (f"r{name}x", 1) for name in "abcd"},
    **{f"r{number}d": (f"r{number}", 4) for number in range(8, 16)},
    **{f"r{number}w": (f"r{number}", 2) for number in range(8, 16)},
    **{f"r{number}b": (f"r{number}", 1) for number in range(8, 16)},
    "eip": ("rip", 4),
}
_PARTS_32 = {
    **{name: (f"e{name}", 2) for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")},
    **{f"{name}l": (f"e{name}x", 1) for name in "abcd"},
}
_ALIASES = {
    "eflags": "efl",
    "rflags": "efl",
    "psr": "cpsr",
    "r11": "fp",
    "r13": "sp",
    "r14": "lr",
    "r15": "pc",
    "x29": "fp",
    "x30": "lr",
    "iopl": "efl",
}


def register_value(debugger: Debugger, name: str) -> int | None:
    """A register of the chosen frame, a part of one, or a pseudo-register; `None` for neither."""
    if name.startswith("$"):
        return _pseudo(debugger, name[1:])
    registers = debugger.frame().registers if debugger.target.threads else {}
    if name not in registers:
        name = _ALIASES.get(name, name)
    if name in registers:
        return registers[name]
    parts = _PARTS_64 if "rip" in registers else _PARTS_32
    if name in parts and parts[name][0] in registers:
        whole, size = parts[name]
        return truncate(registers[whole], size)
    if name.startswith("w") and name[1:].isdigit() and f"x{name[1:]}" in registers:
        return truncate(registers[f"x{name[1:]}"], 4)
    return None


def _pseudo(debugger: Debugger, name: str) -> int | None:  # noqa: PLR0911, PLR0912, C901  (a table)
    target = debugger.target
    frame = debugger.frame() if target.threads else None
    if name in {"ip", "exip", "scopeip", "eventip"}:
        return frame.ip if frame else None
    if name in {"csp", "sp"}:
        return frame.sp if frame else None
    if name == "ra":
        return frame.return_address if frame else None
    if name == "frame":
        return frame.number if frame else None
    if name == "thread":
        return debugger.current_thread().teb
    if name == "teb":
        return debugger.current_thread().teb or None
    if name == "tid":
        return debugger.current_thread().id
    if name == "tpid":
        pid: int | None = target.about["process_id"]
        return pid
    if name == "ptrsize":
        return target.pointer_bytes
    if name == "pagesize":
        return 0x1000
    if name == "exentry":
        return target.modules[0].base if target.modules else None
    if name in {"retreg", "retreg64"} and frame:
        return next(
            (frame.registers[r] for r in ("rax", "eax", "x0", "r0") if r in frame.registers), None
        )
    if name == "peb":
        teb = debugger.current_thread().teb
        offset = 0x60 if target.pointer_bytes == 8 else 0x30
        return target.read_number(teb + offset) if teb and target.is_windows else None
    return debugger.variables.get(name)


def register_lines(debugger: Debugger, frame: Frame) -> Iterable[str]:
    """All registers of a frame, laid out as cdb does; `????` for what is not known there."""
    lines = _LINES.get(debugger.target.about["cpu"])
    if lines is not None:
        yield from lines(frame.registers)
    else:
        names = sorted(frame.registers)
        yield from _rows(frame.registers, names, 4, debugger.pointer_bytes * 2)


def _text(registers: dict[str, int], name: str, digits: int) -> str:
    value = registers.get(name)
    return "?" * digits if value is None else f"{value & ((1 << digits * 4) - 1):0{digits}x}"


def _x64_lines(registers: dict[str, int]) -> Iterable[str]:
    for row in _X64_ROWS:
        yield " ".join(f"{name:>3}={_text(registers, name, 16)}" for name in row)
    if "efl" in registers:
        yield f"{_iopl(registers)}         {_flags(registers)}"
        yield _segments(registers)


def _x86_lines(registers: dict[str, int]) -> Iterable[str]:
    for row in _X86_ROWS:
        yield " ".join(f"{name}={_text(registers, name, 8)}" for name in row)
    pointers = " ".join(f"{name}={_text(registers, name, 8)}" for name in ("eip", "esp", "ebp"))
    if "efl" in registers:
        yield f"{pointers} {_iopl(registers)}         {_flags(registers)}"
        yield _segments(registers)
    else:
        yield pointers


def _arm64_lines(registers: dict[str, int]) -> Iterable[str]:
    names = [*(f"x{number}" for number in range(29)), "fp", "lr", "sp"]
    yield from _rows(registers, names, 4, 16)
    line = f" pc={_text(registers, 'pc', 16)}"
    psr = registers.get("cpsr")
    yield line if psr is None else f"{line} psr={psr:08x} {_conditions(psr)} EL{psr >> 2 & 3}"


def _arm_lines(registers: dict[str, int]) -> Iterable[str]:
    """`fp` is r11, as cdb writes it."""
    shown = registers | ({"r11": registers["fp"]} if "fp" in registers else {})
    yield from _rows(shown, [f"r{number}" for number in range(12)], 6, 8)
    [line] = _rows(shown, ["r12", "sp", "lr", "pc"], 4, 8)
    psr = registers.get("cpsr")
    mode = "" if psr is None else " Thumb" if psr >> 5 & 1 else " ARM"
    yield line if psr is None else f"{line}  psr={psr:08x} {_conditions(psr)}{mode}"


def _rows(
    registers: dict[str, int], names: Sequence[str], columns: int, digits: int
) -> Iterable[str]:
    for start in range(0, len(names), columns):
        row = names[start : start + columns]
        yield "  ".join(f"{name:>3}={_text(registers, name, digits)}" for name in row)


def _conditions(psr: int) -> str:
    """N, Z, C, V of ARM's status register."""
    flags = zip((31, 30, 29, 28), "NZCV", strict=True)
    return "".join(letter if psr >> bit & 1 else "-" for bit, letter in flags)


def _iopl(registers: dict[str, int]) -> str:
    return f"iopl={registers['efl'] >> 12 & 3:x}"


def _flags(registers: dict[str, int]) -> str:
    efl = registers["efl"]
    return " ".join(on if efl >> bit & 1 else off for bit, on, off in _FLAGS)


def _segments(registers: dict[str, int]) -> str:
    segments = "  ".join(f"{name}={_text(registers, name, 4)}" for name in _SEGMENTS)
    return f"{segments}             efl={registers['efl']:08x}"


_LINES: dict[str, Callable[[dict[str, int]], Iterable[str]]] = {
    "amd64": _x64_lines,
    "x86": _x86_lines,
    "arm64": _arm64_lines,
    "arm": _arm_lines,
}
