"""The machine at the crash: registers of frames, instructions, memory around what matters.

Asks an open dump (`DumpSession`) for what an analysis document does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastwords.analyze.session import DumpSession

__all__ = ["Instruction", "MachineState", "MemoryWindow", "machine_state"]

_AROUND_FAULT_BYTES = 64
_STACK_BYTES = 256
_CODE_BYTES = 64
_INSTRUCTIONS_BEFORE = 5
_INSTRUCTIONS = 8
_MAX_FUNCTION_BYTES = 16_384
_MAX_INSTRUCTION_BYTES = 15
_ROW_BYTES = 16
_MAX_NAME_CHARS = 72
_TARGET_MARK = "\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction; `code` are its bytes in hexadecimal, `text` names what it jumps to."""

    address: int
    code: str
    text: str
    is_current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryWindow:
    """Some bytes of the process.

    Attributes:
        what: What lies there, in words.
        address: What it was opened for.
        start: The first address, a multiple of 16.
        data: A byte each, `None` where the dump does not hold it.
    """

    what: str
    address: int
    start: int
    data: tuple[int | None, ...]

    @property
    def is_known(self) -> bool:
        """Whether the dump holds any of it."""
        return any(byte is not None for byte in self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """What was asked for; the parts that were not are empty.

    Attributes:
        thread: Index of the thread.
        pointer_bytes: 4 or 8.
        registers: Frame number (as in the analysis) → name → value; of older frames, what unwinding
            recovered.
        instructions: Around the newest frame's.
        windows: Around the fault, the stack pointer, and the instruction where it is not decoded.
    """

    thread: int
    pointer_bytes: int
    registers: dict[int, dict[str, int]]
    instructions: tuple[Instruction, ...] = ()
    windows: tuple[MemoryWindow, ...] = ()


def machine_state(
    session: DumpSession, thread: int, *, fault: int | None, has_memory: bool
) -> MachineState:
    """Ask for a thread's registers, and for the memory that they point to.

    Args:
        session: The open dump.
        thread: Index of the thread.
        fault: The address of the access that failed; `None` = no access did.
        has_memory: Whether memory and code are wanted.
    """
    pointer_bytes: int = session.ask("about")["pointer_bytes"]
    frames: list[dict[str, Any]] = session.ask("stack", thread=thread)["frames"]
    registers = {
        number: found for number, frame in enumerate(frames) if (found := frame.get("registers"))
    }
    state = MachineState(thread=thread, pointer_bytes=pointer_bytes, registers=registers)
    return _with_memory(session, state, fault) if has_memory and frames else state


def _with_memory(session: DumpSession, state: MachineState, fault: int | None) -> MachineState:
    newest = state.registers.get(min(state.registers, default=0), {})
    ip = _first(newest, "rip", "eip", "pc")
    sp = _first(newest, "rsp", "esp", "sp")
    instructions = () if ip is None else _instructions(session, ip)
    windows = []
    if fault is not None:
        windows.append(_window(session, "around the fault", fault, before=_AROUND_FAULT_BYTES))
    if ip is not None and not instructions:
        windows.append(_window(session, "at the instruction", ip, size=_CODE_BYTES))
    if sp is not None:
        windows.append(_window(session, "at the stack pointer", sp, size=_STACK_BYTES))
    return replace(state, instructions=instructions, windows=tuple(windows))


def _first(registers: dict[str, int], *names: str) -> int | None:
    return next((registers[name] for name in names if name in registers), None)


def _window(
    session: DumpSession, what: str, address: int, *, before: int = 0, size: int | None = None
) -> MemoryWindow:
    start = max(0, address - address % _ROW_BYTES - before)
    size = size or 2 * before + _ROW_BYTES
    size = min(size, (1 << 64) - start - 1)
    data: list[int | None] = [None] * size
    for at, digits, _ in session.ask("memory", address=start, size=size)["pieces"]:
        piece = bytes.fromhex(digits)[: size - (at - start)]
        data[at - start : at - start + len(piece)] = piece
    return MemoryWindow(what=what, address=address, start=start, data=tuple(data))


def _instructions(session: DumpSession, ip: int) -> tuple[Instruction, ...]:
    """Some before the current one, if its function's start is known, and some from it on."""
    here = session.ask("at", address=ip) or {}
    start = here.get("function_base")
    before: list[dict[str, Any]] = []
    if start is not None and 0 < ip - start <= _MAX_FUNCTION_BYTES:
        found = session.ask("code", address=start, max=(ip - start))["instructions"]
        before = [one for one in found if one["address"] < ip][-_INSTRUCTIONS_BEFORE:]
        # Data between the instructions: the decoder went past the current one.
        if before and before[-1]["address"] + before[-1]["len"] != ip:
            before = []
    after = session.ask("code", address=ip, max=_INSTRUCTIONS)["instructions"]
    return tuple(_instruction(session, one, ip) for one in (*before, *after))


def _instruction(session: DumpSession, one: dict[str, Any], ip: int) -> Instruction:
    operands = one["operands"]
    target = one["target"]
    if target is not None:
        there = session.ask("at", address=target) or {}
        frames = there.get("frames") or ()
        base = there.get("function_base")
        text = f"{target:#x}"
        if frames and frames[-1]["function"] and base is not None:
            name = frames[-1]["function"]
            name = name if len(name) <= _MAX_NAME_CHARS else f"{name[:_MAX_NAME_CHARS]}…"
            text += f" <{name}+{target - base:#x}>" if target != base else f" <{name}>"
        operands = operands.replace(_TARGET_MARK, text)
    return Instruction(
        address=one["address"],
        code=one["bytes"],
        text=f"{one['mnemonic']:<7} {operands}".rstrip(),
        is_current=one["address"] == ip,
    )
