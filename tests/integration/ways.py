"""The ways to die that the fault matrix knows, each with the truth about it.

The truth is what Linux on x86-64 does (sigaction(2), Intel SDM volume 3 chapter 6) and what glibc
and libstdc++ say; it holds without lastwords too.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from signal import Signals

__all__ = ["KINDS", "WAYS", "Library", "Way", "Words", "reference"]

KINDS = ("main", "worker", "native")
"""Threads to die in: Python's main thread, one of `threading`, one that Python does not know."""
WILD = 0xDEAD_0000
"""`WILD_ADDRESS` of crates/faults."""
SI_USER, SI_QUEUE, SI_TKILL, SI_KERNEL = 0, -1, -6, 128
MAPERR, ACCERR = 1, 2


class Library(enum.Enum):
    """Where a way is written."""

    RUST = "crates/faults"
    CPP = "tests/integration/programs/faults.cpp"
    PYTHON = "tests/integration/programs/python_ways.py"


class Words(enum.Enum):
    """Where a report holds the text that was said before the end."""

    C_LIBRARY = "mechanism.abort_message"
    CPP_EXCEPTION = "mechanism.cpp_exception"
    LAST_WORDS = "mechanism.last_words"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to die, and what must be told of it.

    Args:
        name: The function that dies.
        library: Where that function is.
        signal: What kills the process.
        codes: Possible values of `si_code`.
        address: The fault address; `None` where it depends on the run or there is none.
        words: Where the text stands; `None` when nothing is said.
        text: A part of that text; types of C++ are mangled (Itanium C++ ABI).
        is_overflow: The stack was used up.
        is_elsewhere: Another thread than the calling one dies.
        has_stack: The stack pointer still leads to the stack.
        has_frame: The function is found on the crashing thread's stack.
        leaves_frames: The Python frames of the call are still there when it dies.
        python_frame: The innermost Python function then; `None` = that of the call, or not known.
        kinds: Threads in which it can be done.
    """

    name: str
    library: Library
    signal: Signals
    codes: tuple[int, ...]
    address: int | None = None
    words: Words | None = None
    text: str | None = None
    is_overflow: bool = False
    is_elsewhere: bool = False
    has_stack: bool = True
    has_frame: bool = True
    leaves_frames: bool = True
    python_frame: str | None = None
    kinds: tuple[str, ...] = KINDS


def _fault(
    library: Library,
    name: str,
    number: Signals,
    *codes: int,
    address: int | None = None,
    **more: object,
) -> Way:
    return Way(
        name=f"fault_{name}", library=library, signal=number, codes=codes, address=address, **more,
    )  # fmt: skip


_rust = functools.partial(_fault, Library.RUST)
_cpp = functools.partial(_fault, Library.CPP)


def _abort(name: str, words: Words | None = None, text: str | None = None, **more: object) -> Way:
    return _cpp(name, Signals.SIGABRT, SI_TKILL, words=words, text=text, **more)


def _python(
    name: str, number: Signals, *codes: int, address: int | None = None, **more: object
) -> Way:
    kinds = more.pop("kinds", ("main", "worker"))
    more.setdefault("has_frame", False)
    return Way(
        name=name, library=Library.PYTHON, signal=number, codes=codes, address=address, kinds=kinds,
        **more,
    )  # fmt: skip


_SEGV, _BUS, _FPE, _ILL = Signals.SIGSEGV, Signals.SIGBUS, Signals.SIGFPE, Signals.SIGILL
_TRAP, _ABRT, _SYS = Signals.SIGTRAP, Signals.SIGABRT, Signals.SIGSYS

_RUST = [
    _rust("read_null", _SEGV, MAPERR, address=0),
    _rust("write_null", _SEGV, MAPERR, address=0),
    _rust("execute_null", _SEGV, MAPERR, address=0),
    _rust("read_wild", _SEGV, MAPERR, address=WILD),
    _rust("write_wild", _SEGV, MAPERR, address=WILD),
    _rust("execute_wild", _SEGV, MAPERR, address=WILD),
    _rust("read_non_canonical", _SEGV, SI_KERNEL),
    _rust("execute_non_canonical", _SEGV, SI_KERNEL),
    _rust("write_read_only", _SEGV, ACCERR),
    _rust("write_code", _SEGV, ACCERR),
    _rust("execute_data", _SEGV, ACCERR),
    _rust("execute_protected", _SEGV, ACCERR),
    _rust("execute_unmapped", _SEGV, MAPERR),
    _rust("guard_page", _SEGV, ACCERR),
    _rust("misaligned", _SEGV, SI_KERNEL),
    _rust("privileged", _SEGV, SI_KERNEL),
    _rust("interrupt", _SEGV, SI_KERNEL),
    _rust("bus_past_end", _BUS, 2),
    _rust("alignment_check", _BUS, 1),
    _rust("divide", _FPE, 1),
    _rust("divide_overflow", _FPE, 1),
    _rust("divide_float", _FPE, 3),
    _rust("illegal", _ILL, 2),
    _rust("lock_prefix", _ILL, 2),
    _rust("trap", _TRAP, SI_KERNEL),
    _rust("single_step", _TRAP, 2),
    _rust("system_call", _SYS, 1),
    _rust("abort", _ABRT, SI_TKILL),
    _rust("abort_blocked", _ABRT, SI_TKILL),
    _rust("abort_by_other_thread", _ABRT, SI_TKILL),
    _rust("killed_by_process", _BUS, SI_TKILL),
    _rust("panic", _ABRT, SI_TKILL, words=Words.LAST_WORDS, text="the faults panicked on purpose"),
    _rust("recursion", _SEGV, MAPERR, ACCERR, is_overflow=True, has_frame=False),
    _rust("big_frame", _SEGV, MAPERR, ACCERR, is_overflow=True, has_frame=False),
    _rust("trashed_sp", _SEGV, MAPERR, address=WILD - 8, has_stack=False),
    _rust("trashed_bp", _SEGV, MAPERR, address=0),
    _rust("trashed_all", _SEGV, MAPERR, address=WILD, has_stack=False, has_frame=False),
]
_CPP = [
    _abort("throw_std", Words.CPP_EXCEPTION, "the grid is empty"),
    _abort("throw_own", Words.CPP_EXCEPTION, "OwnError"),
    _abort("throw_int", Words.CPP_EXCEPTION, "i: None"),
    _abort("terminate"),
    _abort("pure_virtual", Words.LAST_WORDS, "pure virtual"),
    _abort("throw_in_noexcept", Words.CPP_EXCEPTION, "thrown in a noexcept function"),
    _abort("throw_in_destructor", Words.CPP_EXCEPTION, "the first one"),
    _abort("rethrow_nothing"),
    _abort("throw_in_std_thread", Words.CPP_EXCEPTION, "thrown in a std::thread", is_elsewhere=True,
           has_frame=False),
    _abort("thread_not_joined"),
    _abort("throw_in_callback", Words.CPP_EXCEPTION, "thrown through a C callback"),
    _abort("bad_function", Words.CPP_EXCEPTION, "bad_function_call"),
    _abort("vector_at", Words.CPP_EXCEPTION, "vector::_M_range_check"),
    _abort("bad_alloc", Words.CPP_EXCEPTION, "std::bad_alloc"),
    _abort("double_delete", Words.C_LIBRARY, "double free detected"),
    _abort("free_stack_pointer", Words.C_LIBRARY, "free(): invalid pointer"),
    _abort("heap_overflow", Words.C_LIBRARY, "double free or corruption"),
    _abort("use_after_free", Words.C_LIBRARY, "unaligned tcache chunk detected"),
    _abort("stack_smash", Words.C_LIBRARY, "stack smashing detected"),
    _abort("assert", Words.C_LIBRARY, "Assertion `index < 3' failed."),
    _abort("fortify", Words.C_LIBRARY, "buffer overflow detected"),
    _abort("longjmp_into_the_past", Words.C_LIBRARY, "longjmp causes uninitialized stack frame"),
    _cpp("builtin_trap", _ILL, 2),
    _cpp("virtual_call_on_null", _SEGV, MAPERR, address=0),
    _cpp("virtual_call_on_freed", _SEGV, SI_KERNEL),
    _cpp("null_function", _SEGV, MAPERR, address=0),
    _cpp("float_invalid", _FPE, 7),
    _cpp("modulo_zero", _FPE, 1),
    _cpp("alloca", _SEGV, MAPERR, ACCERR, is_overflow=True, has_frame=False),
    _cpp("recursion_in_cpp", _SEGV, MAPERR, ACCERR, is_overflow=True, has_frame=False),
]  # fmt: skip
_PYTHON = [
    _python("string_at_null", _SEGV, MAPERR, address=0, python_frame="string_at"),
    _python("faulthandler_read_null", _SEGV, MAPERR, address=0),
    _python("faulthandler_sigsegv", _SEGV, SI_TKILL),
    _python("faulthandler_sigfpe", _FPE, 1),
    _python("faulthandler_sigabrt", _ABRT, SI_TKILL),
    _python("faulthandler_stack_overflow", _SEGV, MAPERR, ACCERR, is_overflow=True),
    _python("faulthandler_fatal_error", _ABRT, SI_TKILL, words=Words.LAST_WORDS,
            text="in new thread", is_elsewhere=True),
    _python("fatal_error", _ABRT, SI_TKILL, words=Words.LAST_WORDS, text="the ways ended"),
    _python("os_abort", _ABRT, SI_TKILL),
    _python("os_kill", _SEGV, SI_USER, is_elsewhere=True),
    _python("corrupt_type", _SEGV, MAPERR),
    _python("corrupt_code", _SEGV, MAPERR),
    _python("corrupt_list_in_gc", _SEGV, MAPERR, address=WILD),
    _python("deep_iterators", _SEGV, MAPERR, ACCERR, is_overflow=True),
    _python("at_exit", _SEGV, MAPERR, address=0, kinds=("main",), leaves_frames=False,
            python_frame="string_at"),
    _python("in_del_at_finalisation", _SEGV, MAPERR, address=0, kinds=("main",),
            leaves_frames=False, python_frame="string_at"),
    _python("in_signal_handler", _SEGV, MAPERR, address=0, kinds=("main",),
            python_frame="string_at"),
    _python("in_trace_function", _SEGV, MAPERR, address=0, python_frame="string_at"),
    _python("in_import", _SEGV, MAPERR, address=0, python_frame="string_at"),
    *(
        _python(f"raise_{number.name}", number, SI_TKILL)
        for number in (_SEGV, _BUS, _FPE, _ILL, _ABRT, _TRAP, _SYS)
    ),
    _python("queue_SIGSEGV", _SEGV, SI_QUEUE, is_elsewhere=True),
]  # fmt: skip

WAYS = {way.name: way for way in [*_RUST, *_CPP, *_PYTHON]}
"""By name."""
assert len(WAYS) == len(_RUST) + len(_CPP) + len(_PYTHON)


_CODES = {
    (_SEGV, MAPERR): "SEGV_MAPERR",
    (_SEGV, ACCERR): "SEGV_ACCERR",
    (_BUS, 1): "BUS_ADRALN",
    (_BUS, 2): "BUS_ADRERR",
    (_FPE, 1): "FPE_INTDIV",
    (_FPE, 3): "FPE_FLTDIV",
    (_FPE, 7): "FPE_FLTINV",
    (_ILL, 2): "ILL_ILLOPN",
    (_TRAP, 2): "TRAP_TRACE",
    (_SYS, 1): "SYS_SECCOMP",
}
_SENT = {SI_USER: "SI_USER", SI_QUEUE: "SI_QUEUE", SI_TKILL: "SI_TKILL", SI_KERNEL: "SI_KERNEL"}
_HEAD = """# Fault matrix

Ways to die that `tests/integration/test_fault_matrix.py` dies for real: on the CPython that runs
the tests every way in every kind of thread named here (Python's main thread; a worker of
`threading`; a native one that Python does not know), on each other one from 3.10 to 3.13 that the
machine has every way once. Of each, the report holds signal, code, address, thread, modules with
build ids, the Python frames with their lines, and what is told here; Breakpad's
`minidump_stackwalk` reads the same from the dump, LLDB from a sample.

| way | written in | dies by | code | address | threads | the report also tells |
|---|---|---|---|---|---|---|
"""


def reference() -> str:
    """The text of `docs/reference/fault-matrix.md`."""
    rows = [_row(way) for way in WAYS.values()]
    return f"{_HEAD}{''.join(rows)}\n{len(rows)} ways.\n"


def _row(way: Way) -> str:
    codes = [_CODES.get((way.signal, code)) or _SENT[code] for code in way.codes]
    address = "-" if way.address is None else f"{way.address:#x}"
    told = [f"`{way.words.value}`: {way.text}"] if way.words else []
    told += ["`mechanism.stack_overflow`"] if way.is_overflow else []
    cells = [way.name.removeprefix("fault_"), way.library.value, way.signal.name,
             " or ".join(codes), address, ", ".join(way.kinds), "; ".join(told)]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"
