"""What is asked of an open dump for registers, code and memory; the dump is made up."""

from __future__ import annotations

from typing import Any

from lastwords.analyze import DumpSession
from lastwords.analyze.machine import machine_state

CODE = [
    {"address": 0x1000 + 2 * number, "bytes": "9090", "len": 2, "mnemonic": "nop", "operands": "",
     "target": None}
    for number in range(20)
]  # fmt: skip
CALL = {"address": 0x1010, "bytes": "e8", "len": 2, "mnemonic": "call", "operands": "\x01",
        "target": 0x2004}  # fmt: skip


class Dump(DumpSession):
    """Memory from 0x7000 on, a function at 0x1000, one at 0x2000."""

    def __init__(self, registers: dict[str, int], *, has_code: bool = True) -> None:
        self.name = ""
        self.registers = registers
        self.has_code = has_code

    def ask(self, request: str, **fields: object) -> Any:
        return getattr(self, request)(**fields)

    def about(self) -> Any:
        return {"pointer_bytes": 8}

    def stack(self, *, thread: int) -> Any:
        assert thread == 3
        return {"frames": [{"registers": self.registers}, {}, {"registers": {"rbx": 5}}]}

    def at(self, *, address: int) -> Any:
        base = address & ~0xFFF
        return {"function_base": base, "frames": [{"function": self.name or f"f_{base:x}"}]}

    def code(self, *, address: int, max: int) -> Any:  # noqa: A002  (the request's word)
        code = [CALL if one["address"] == 0x1010 else one for one in CODE if self.has_code]
        return {"instructions": [one for one in code if one["address"] >= address][:max]}

    def memory(self, *, address: int, size: int) -> Any:
        start = max(address, 0x7000)
        left = address + size - start
        return {"pieces": [[start, "ab" * left, "dump"]] if left > 0 else []}


def test_registers_are_those_of_each_frame_that_has_some() -> None:
    state = machine_state(Dump({"rip": 0x1010}), 3, fault=None, has_memory=False)
    assert state.registers == {0: {"rip": 0x1010}, 2: {"rbx": 5}}
    assert (state.instructions, state.windows) == ((), ())


def test_code_begins_before_the_instruction_and_names_what_is_called() -> None:
    state = machine_state(Dump({"rip": 0x1010, "rsp": 0x7008}), 3, fault=None, has_memory=True)
    addresses = [one.address for one in state.instructions]
    assert addresses == [*range(0x1006, 0x1010, 2), *range(0x1010, 0x1020, 2)]
    (current,) = (one for one in state.instructions if one.is_current)
    assert (current.address, current.text) == (0x1010, "call    0x2004 <f_2000+0x4>")


def test_names_of_what_is_called_are_cut() -> None:
    dump = Dump({"rip": 0x1010})
    dump.name = "f" * 500
    state = machine_state(dump, 3, fault=None, has_memory=True)
    assert max(len(one.text) for one in state.instructions) < 110


def test_memory_is_looked_at_around_the_fault_and_from_the_stack_pointer_on() -> None:
    state = machine_state(Dump({"rip": 0x1010, "rsp": 0x7008}), 3, fault=0x7003, has_memory=True)
    fault, stack = state.windows
    assert (fault.start, len(fault.data), fault.address) == (0x6FC0, 144, 0x7003)
    assert [byte is not None for byte in fault.data] == [False] * 64 + [True] * 80
    assert (stack.start, len(stack.data)) == (0x7000, 256)


def test_addresses_at_both_ends_of_memory_are_no_trouble() -> None:
    for fault in (0, 1, (1 << 64) - 1):
        state = machine_state(Dump({}), 3, fault=fault, has_memory=True)
        (window,) = state.windows
        assert window.address == fault
        assert window.start + len(window.data) < 1 << 64


def test_code_of_a_processor_that_is_not_decoded_is_shown_as_bytes() -> None:
    state = machine_state(Dump({"pc": 0x7100, "sp": 0x7200}, has_code=False), 3, fault=None,
                          has_memory=True)  # fmt: skip
    assert [window.what for window in state.windows] == [
        "at the instruction",
        "at the stack pointer",
    ]
    assert state.windows[0].is_known
