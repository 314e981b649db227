"""Instructions, and memory as rows of hexadecimal digits and characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lastwords.analyze.machine import Instruction, MemoryWindow

__all__ = ["code_lines", "window_lines"]

_ROW_BYTES = 16


def code_lines(instructions: Sequence[Instruction], pointer_bytes: int) -> Iterator[Text]:
    """A line each: address, bytes, text; the current one is marked."""
    width = max((len(one.code) for one in instructions), default=0)
    for one in instructions:
        mark = ">" if one.is_current else " "
        line = Text(f"  {mark} ", style="bold")
        line.append(f"{one.address:0{2 * pointer_bytes}x}  ", style="dim")
        line.append(f"{one.code:<{width}}  ", style="dim")
        yield line.append(clean(one.text), style="bold" if one.is_current else "")


def window_lines(window: MemoryWindow, pointer_bytes: int) -> Iterator[Text]:
    """The rows; `??` for what the dump does not hold, and nothing where that is a whole row."""
    if not window.is_known:
        yield Text(
            "    nothing in this dump: no memory is there, or this kind of dump leaves it out",
            style="dim",
        )
        return
    for offset in range(0, len(window.data), _ROW_BYTES):
        row = window.data[offset : offset + _ROW_BYTES]
        if any(byte is not None for byte in row):
            address = window.start + offset
            is_current = address <= window.address < address + _ROW_BYTES
            yield _row(address, row, pointer_bytes, is_current=is_current)


def _row(address: int, row: Sequence[int | None], pointer_bytes: int, *, is_current: bool) -> Text:
    digits = ["??" if byte is None else f"{byte:02x}" for byte in row]
    half = _ROW_BYTES // 2
    text = " ".join(digits[:half]) + "  " + " ".join(digits[half:])
    characters = "".join(_character(byte) for byte in row)
    line = Text(f"  {'>' if is_current else ' '} ", style="bold")
    line.append(f"{address:0{2 * pointer_bytes}x}  ", style="dim")
    return line.append(f"{text:<{3 * _ROW_BYTES}}  ").append(characters, style="dim")


def _character(byte: int | None) -> str:
    if byte is None:
        return " "
    return chr(byte) if 0x20 <= byte < 0x7F else "."
