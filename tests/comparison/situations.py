"""What each situation must show: names of one thread's stack, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SITUATIONS", "Situation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One way in which a process stands still.

    Attributes:
        name: The function of `programs/situations.py`.
        about: What it is, for the table.
        frames: Names that a person looks for, the oldest first.
        options: Of the interpreter.
        is_stripped: The interpreter's library has no symbols but the exported ones.
        is_dead: A core file of it is looked at.
    """

    name: str
    about: str
    frames: tuple[str, ...]
    options: tuple[str, ...] = ()
    is_stripped: bool = False
    is_dead: bool = False


SITUATIONS = [
    Situation(name="recursion", about="recursion in Python", frames=("recursion", "fall", "stop")),
    Situation(
        name="deep_recursion",
        about="recursion of 4,000 calls in a thread",
        frames=("run", "fall", "stop"),
    ),
    Situation(
        name="in_a_thread",
        about="a thread, from its very start",
        frames=("clone", "start_thread", "thread_run", "_bootstrap", "run", "stop"),
    ),
    Situation(
        name="sort_key",
        about="`sorted(key=…)`: the sort stays visible",
        frames=("sort_key", "list_sort", "stop"),
    ),
    Situation(
        name="map_in_list",
        about="`list(map(…))`",
        frames=("map_in_list", "map_next", "stop"),
    ),
    Situation(
        name="reduce_in_c",
        about="`functools.reduce`",
        frames=("reduce_in_c", "functools_reduce", "<lambda>", "stop"),
    ),
    Situation(
        name="equality_slot",
        about="`__eq__` called by `list.count`",
        frames=("equality_slot", "slot_tp_richcompare", "__eq__", "stop"),
    ),
    Situation(
        name="call_slot",
        about="`__call__` behind `partial`",
        frames=("call_slot", "slot_tp_call", "__call__", "stop"),
    ),
    Situation(
        name="attribute_slot",
        about="`__getattr__`",
        frames=("attribute_slot", "slot_tp_getattr_hook", "__getattr__", "stop"),
    ),
    Situation(
        name="generator",
        about="generators with `yield from`",
        frames=("generator", "outer", "inner", "stop"),
    ),
    Situation(
        name="awaited",
        about="coroutines that await each other",
        frames=("awaited", "middle", "leaf", "stop"),
    ),
    Situation(
        name="waiting_task",
        about="a task of asyncio that waits",
        frames=("waiting_task", "main", "stop", "sleeper"),
    ),
    Situation(
        name="suspended_greenlet",
        about="a greenlet that waits",
        frames=("suspended_greenlet", "stop", "waits"),
    ),
    Situation(
        name="executed_code",
        about="code made by `exec`",
        frames=("executed_code", "<module>", "made", "stop"),
    ),
    Situation(
        name="c_callback",
        about="C that calls back through ctypes",
        frames=("c_callback", "call_back", "stop"),
    ),
    Situation(
        name="cpp_inlined",
        about="inlined C++ functions",
        frames=("cpp_inlined", "call_back_inlined", "base", "top", "stop"),
    ),
    Situation(
        name="without_rules",
        about="a function without call frame information",
        frames=("without_rules", "_ctypes_callproc", "without_rules", "stop"),
    ),
    Situation(
        name="held_in_c",
        about="C that keeps the GIL",
        frames=("held_in_c", "wait_long", "usleep"),
    ),
    Situation(
        name="handler_on_its_own_stack",
        about="a signal handler on its own stack",
        frames=("handler_on_its_own_stack", "wait_in_handler", "raise", "stays_in_handler"),
    ),
    Situation(
        name="native_thread",
        about="a thread that Python does not know",
        frames=("start_thread", "native_only", "pause"),
    ),
    Situation(
        name="sub_interpreter",
        about="a sub-interpreter on the main thread",
        frames=("sub_interpreter", "interp_run_string", "inside"),
    ),
    Situation(
        name="c_callback",
        about="C that calls back, in a stripped interpreter",
        frames=("c_callback", "call_back", "stop"),
        is_stripped=True,
    ),
    Situation(
        name="c_callback",
        about="C that calls back, from a core file",
        frames=("c_callback", "call_back", "stop"),
        is_dead=True,
    ),
]
"""The rows of the table."""
