"""Ways to die that need an interpreter; the native ones are in crates/faults and faults.cpp."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import itertools
import opcode
import os
import signal
import sys
import types

WILD = 0xDEAD0000
POINTER = ctypes.sizeof(ctypes.c_void_p)
OB_TYPE = POINTER
"""Offset of `ob_type` (CPython 3.10-3.13, Include/object.h)."""
OB_SIZE, OB_ITEM = 2 * POINTER, 3 * POINTER
"""Offsets in a list (Include/cpython/listobject.h)."""
kept = []
"""What must live until the end."""


def crash():
    ctypes.string_at(0)


def write_pointer(address, value):
    ctypes.c_size_t.from_address(address).value = value


def string_at_null():
    crash()


def faulthandler_read_null():
    faulthandler._read_null()


def faulthandler_sigsegv():
    faulthandler._sigsegv()


def faulthandler_sigfpe():
    faulthandler._sigfpe()


def faulthandler_sigabrt():
    faulthandler._sigabrt()


def faulthandler_stack_overflow():
    faulthandler._stack_overflow()


def faulthandler_fatal_error():
    faulthandler._fatal_error_c_thread()


def fatal_error():
    ctypes.pythonapi.Py_FatalError(b"the ways ended")


def os_abort():
    os.abort()


def os_kill():
    os.kill(os.getpid(), signal.SIGSEGV)


def corrupt_type():
    class Victim:
        pass

    victim = Victim()
    kept.append(victim)
    write_pointer(id(victim) + OB_TYPE, WILD)
    repr(victim)


def corrupt_code():
    def innocent():
        return "never"

    extended, load = opcode.opmap["EXTENDED_ARG"], opcode.opmap["LOAD_CONST"]
    # A constant some 8 GiB behind the tuple of constants.
    steps = bytes([extended, 0x3F, extended, 0xFF, extended, 0xFF, load, 0xFF])
    returning = bytes([opcode.opmap["RETURN_VALUE"], 0])
    code = innocent.__code__.replace(co_code=steps + returning, co_stacksize=8)
    types.FunctionType(code, {})()


def corrupt_list_in_gc():
    gc.disable()
    victim = []
    kept.append(victim)
    write_pointer(id(victim) + OB_ITEM, WILD)
    write_pointer(id(victim) + OB_SIZE, 1)
    gc.collect()


def deep_iterators():
    deep = iter(())
    for _ in range(2_000_000):
        deep = itertools.chain(deep)
    next(deep, None)


def at_exit():
    atexit.register(crash)
    sys.exit()


class CrashesAtEnd:
    def __init__(self):
        self.string_at = ctypes.string_at  # modules may be emptied by then

    def __del__(self):
        self.string_at(0)


def in_del_at_finalisation():
    sys.modules["kept until the end"] = CrashesAtEnd()
    sys.exit()


def in_signal_handler():
    signal.signal(signal.SIGUSR1, lambda *_: crash())
    signal.raise_signal(signal.SIGUSR1)
    for _ in range(1000):
        pass


def in_trace_function():
    sys.settrace(lambda *_: crash())
    os_abort()


def in_import():
    class Finder:
        @staticmethod
        def find_spec(*_arguments):
            crash()

    sys.meta_path.insert(0, Finder)
    import no_such_module  # noqa: F401, PLC0415  (the fault)


def raiser(number):
    def fault():
        FAULTS.faults_raise(int(number))

    return fault


def queue_SIGSEGV():  # noqa: N802
    FAULTS.faults_queue(int(signal.SIGSEGV))


FAULTS = ctypes.CDLL(os.environ["LASTWORDS_FAULTS"])
for signal_raised in (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP,
    signal.SIGSYS,
):  # fmt: skip
    globals()[f"raise_{signal_raised.name}"] = raiser(signal_raised)
