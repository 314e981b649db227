"""Run inside gdb: writes what gdb knows of the stopped victim as JSON."""

import json
import os

import gdb

REGISTERS = ["rbx", "rbp", "rsp", "r12", "r13", "r14", "r15"]
ALL = [*REGISTERS, "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "rip"]


def register(frame, name):
    return int(frame.read_register(name)) & 0xFFFFFFFFFFFFFFFF


def describe(frame):
    place = frame.find_sal()
    return {
        "pc": frame.pc(),
        "function": frame.name(),
        "file": place.symtab.fullname() if place.symtab else None,
        "line": place.line if place.symtab else None,
        "is_inline": frame.type() == gdb.INLINE_FRAME,
        "is_signal": frame.type() == gdb.SIGTRAMP_FRAME,
        "registers": {name: register(frame, name) for name in REGISTERS},
    }


def frames():
    frame = gdb.newest_frame()
    while frame is not None:
        yield describe(frame)
        frame = frame.older()


process = gdb.selected_inferior()
newest = gdb.newest_frame()
with open(f"/proc/{process.pid}/maps") as maps:
    mappings = [line.split() for line in maps]
stack_top = next(
    int(m[0].split("-")[1], 16)
    for m in mappings
    if int(m[0].split("-")[0], 16) <= register(newest, "rsp") < int(m[0].split("-")[1], 16)
)
start = register(newest, "rsp")
document = {
    "registers": {name: register(newest, name) for name in ALL},
    "stack": {"start": start, "hex": bytes(process.read_memory(start, stack_top - start)).hex()},
    "maps": [[m[0], int(m[2], 16), m[5]] for m in mappings if len(m) > 5 and m[5].startswith("/")],
    "frames": list(frames()),
}
with open(os.environ["WALK_JSON"], "w") as out:
    json.dump(document, out)
