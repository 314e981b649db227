"""The machine at the crash: registers, instructions, memory; a section each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.frames import frame_title
from lastwords.cli.render.memory import code_lines, window_lines
from lastwords.cli.render.registers import register_lines
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.analyze.machine import MachineState
    from lastwords.report.analysis import Thread

__all__ = ["memory_sections", "register_section"]

_MAX_FRAMES = 16


def register_section(state: MachineState, thread: Thread) -> Iterator[Text]:
    """Registers of the thread's frames: of the newest all, of older ones those that are known."""
    yield Text()
    heading = Text("Registers", style="bold").append(f" of thread {state.thread}")
    yield heading.append("; of older frames those that are known", style="dim")
    if not state.registers:
        yield Text("    not in this dump", style="dim")
    for number in list(state.registers)[:_MAX_FRAMES]:
        title = frame_title(thread.frames[number]) if number < len(thread.frames) else ""
        yield Text(f"  frame {number}  ", style="dim").append(title)
        yield from register_lines(state.registers[number], state.pointer_bytes)
    left = len(state.registers) - _MAX_FRAMES
    if left > 0:
        yield Text(f"  {left} older frames: lastwords debug -z FILE", style="dim")


def memory_sections(state: MachineState) -> Iterator[Text]:
    """Code around the instruction, then each window of memory."""
    if state.instructions:
        yield Text()
        yield Text("Code", style="bold").append(" around the instruction")
        yield from code_lines(state.instructions, state.pointer_bytes)
    for window in state.windows:
        yield Text()
        where = f"{window.address:#0{2 + 2 * state.pointer_bytes}x}"
        yield Text("Memory", style="bold").append(f" {window.what}, {where}")
        yield from window_lines(window, state.pointer_bytes)
    if not state.instructions and not state.windows:
        yield Text()
        yield Text("Memory: the dump has no registers that say where to look", style="dim")
