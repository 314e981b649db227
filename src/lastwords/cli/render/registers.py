"""Registers in columns, as debuggers show them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["register_lines"]

_COLUMNS = 4
_ORDERS = (
    "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip",
    "eax ebx ecx edx esi edi ebp esp eip",
    " ".join(f"x{number}" for number in range(31)) + " fp lr sp pc",
    " ".join(f"r{number}" for number in range(13)) + " fp sp lr pc",
)
_FLAG_NAMES = ("efl", "eflags", "cpsr")
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_X86_FLAGS = {0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF"}
_ARM_FLAGS = {28: "V", 29: "C", 30: "Z", 31: "N"}
_VECTOR = re.compile(r"^[xyz]mm\d+h?$")


def register_lines(registers: Mapping[str, int], pointer_bytes: int) -> Iterator[Text]:
    """The general registers by columns, then segments and flags; vectors are left out."""
    names = _ordered([name for name in registers if _is_general(name)])
    width = max((len(name) for name in names), default=0)
    digits = 2 * pointer_bytes
    for start in range(0, len(names), _COLUMNS):
        line = Text("    ")
        for name in names[start : start + _COLUMNS]:
            value = registers[name] & ((1 << 4 * digits) - 1)
            line.append(f"{name:>{width}} ", style="dim").append(f"{value:0{digits}x}  ")
        line.rstrip()
        yield line
    segments = [f"{name} {registers[name]:04x}" for name in _SEGMENTS if name in registers]
    if segments:
        yield Text("    " + "  ".join(segments))
    flags = next((name for name in _FLAG_NAMES if name in registers), None)
    if flags is not None:
        value = registers[flags]
        yield Text(f"    {flags} {value:08x}  {_flags(flags, value)}".rstrip())


def _is_general(name: str) -> bool:
    return name not in _SEGMENTS and name not in _FLAG_NAMES and not _VECTOR.match(name)


def _ordered(names: list[str]) -> list[str]:
    """As the manual of their processor lists them; of one that is not known, by name and number."""
    for order in _ORDERS:
        places = {name: place for place, name in enumerate(order.split())}
        if all(name in places for name in names):
            return sorted(names, key=lambda name: places[name])
    return sorted(names, key=_by_number)


def _by_number(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\D*)(\d*)", name)
    return (found.group(1), int(found.group(2) or -1)) if found else (name, -1)


def _flags(name: str, value: int) -> str:
    names = _ARM_FLAGS if name == "cpsr" else _X86_FLAGS
    return " ".join(text for bit, text in names.items() if value >> bit & 1)
