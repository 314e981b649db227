"""Instructions as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastwords.debug.numbers import truncate
from lastwords.debug.registers import register_value

if TYPE_CHECKING:
    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = ["TARGET_MARK", "instruction_at", "instruction_line", "place_line"]

TARGET_MARK = "\x01"
"""Stands in the core's text for an address that wants to be named."""


def instruction_at(debugger: Debugger, address: int, count: int) -> list[dict[str, Any]]:
    """Up to so many instructions; empty where code is not known."""
    answer = debugger.target.session.ask("code", address=address, max=count)
    found: list[dict[str, Any]] = answer["instructions"]
    return found


def instruction_line(debugger: Debugger, one: dict[str, Any]) -> str:
    """`00007ff6`6107c030 817960fecaadab  cmp     dword ptr [rcx+60h],0ABADCAFEh`."""
    operands = one["operands"]
    if one["target"] is not None:
        address = debugger.target.address(one["target"])
        name = debugger.target.symbol_text(one["target"])
        named = f"{name} ({address})" if name and "!" in name else address
        operands = operands.replace(TARGET_MARK, named)
    text = f"{one['mnemonic']:<7} {operands}".rstrip()
    return f"{debugger.target.address(one['address'])} {one['bytes']:<15} {text}"


def place_line(debugger: Debugger, address: int) -> str:
    """`mod!function+0x12:`, as it stands above instructions."""
    return f"{debugger.target.symbol_text(address) or debugger.target.address(address)}:"


def current_instruction(debugger: Debugger, frame: Frame) -> list[str]:
    """Where a frame stands: its symbol, and its instruction with the memory that it names."""
    lines = [place_line(debugger, frame.ip)]
    found = instruction_at(debugger, frame.ip, 1)
    if not found:
        lines.append(f"{debugger.target.address(frame.ip)} ??              ???")
        return lines
    line = instruction_line(debugger, found[0])
    memory = found[0]["memory"]
    if memory is not None and memory["size_bytes"]:
        line += _memory_text(debugger, memory)
    lines.append(line)
    return lines


def _memory_text(debugger: Debugger, memory: dict[str, Any]) -> str:
    """` ds:00000127`598547a0=????????`."""
    address = memory["displacement"]
    for name, scale in ((memory["base"], 1), (memory["index"], memory["scale"])):
        if name is None:
            continue
        value = register_value(debugger, name)
        if value is None:
            return ""
        address += value * scale
    address = truncate(address, debugger.pointer_bytes)
    size = memory["size_bytes"]
    data = debugger.target.read(address, size) if memory["segment"] not in {"fs", "gs"} else None
    digits = "?" * (size * 2) if data is None else data[::-1].hex()
    if size == 8 and data is not None:
        digits = debugger.target.address(int(digits, 16))
    return f" {memory['segment']}:{debugger.target.address(address)}={digits}"
