"""The analysis of a dump, as far as it is shown and grouped; format: `docs/formats/analysis.md`.

`lastwords.analyze` decodes the core's document into these classes; keys that they do not have stay
in the document. Every field may be missing: absent is `None`, a list that is absent is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from lastwords.report.crash_facts import Confidence, Exploitability, Finding, Rating
from lastwords.report.dump_facts import (
    CppException,
    Handle,
    Lastwords,
    StackOverflow,
    ThreadInfo,
)
from lastwords.report.soft_error import SoftError

__all__ = [
    "Address",
    "AdjustedAddress",
    "Analysis",
    "Confidence",
    "CppException",
    "CrashInfo",
    "Exploitability",
    "Finding",
    "Frame",
    "FrameKind",
    "FrameTrust",
    "Handle",
    "InlineFrame",
    "Lastwords",
    "MemoryAccess",
    "Module",
    "ModuleSymbols",
    "Placement",
    "PythonFrame",
    "PythonProcess",
    "PythonThread",
    "Rating",
    "SoftError",
    "StackOverflow",
    "SymbolStatus",
    "System",
    "Thread",
    "ThreadInfo",
    "Throw",
    "UnknownFrames",
    "is_crash",
    "is_fault",
    "system_name",
]

_REQUESTED = "DUMP_REQUESTED"
_SENT = ("/ SI_USER", "/ SI_TKILL", "/ SI_QUEUE")


class Address(int):
    """An address in the process that was dumped; text is 0-padded hexadecimal."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{int(self):#010x}" if self < 2**32 else f"{int(self):#018x}"

    def __repr__(self) -> str:
        return f"Address({self})"


class FrameKind(str, Enum):
    """Which stack a frame comes from."""

    NATIVE = "native"
    PYTHON = "python"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> FrameKind:  # noqa: ARG003  (the protocol's signature)
        return cls.UNKNOWN


class FrameTrust(str, Enum):
    """How a frame was found, best first; words as in minidump-stackwalk's JSON."""

    CONTEXT = "context"
    PYTHON = "python"
    PREWALKED = "prewalked"
    CFI = "cfi"
    FRAME_POINTER = "frame_pointer"
    CFI_SCAN = "cfi_scan"
    SCAN = "scan"
    UNKNOWN = "non"

    @classmethod
    def _missing_(cls, value: object) -> FrameTrust:  # noqa: ARG003  (the protocol's signature)
        return cls.UNKNOWN

    @property
    def is_exact(self) -> bool:
        """Whether the frame follows from rules or from the interpreter, not from a guess."""
        return self in {self.CONTEXT, self.PYTHON, self.PREWALKED, self.CFI}


class Placement(str, Enum):
    """How far the place of a Python frame among the native frames is known."""

    ANCHORED = "anchored"
    UNPLACED = "unplaced"

    @classmethod
    def _missing_(cls, value: object) -> Placement:  # noqa: ARG003  (the protocol's signature)
        return cls.UNPLACED


class SymbolStatus(str, Enum):
    """What is known of a module's symbols.

    `loaded`: functions and lines; `exports_only`: functions of a symbol table, no lines;
    `unwind_only`: neither; `mismatched`: those that were found are of another build; `no_id`: the
    dump has no id by which any could be found.
    """

    LOADED = "loaded"
    EXPORTS_ONLY = "exports_only"
    UNWIND_ONLY = "unwind_only"
    MISSING = "missing"
    NO_ID = "no_id"
    MISMATCHED = "mismatched"
    CORRUPT = "corrupt"
    NOT_NEEDED = "not_needed"


_OF_KIND = {"symbol_table": SymbolStatus.EXPORTS_ONLY, "cfi_only": SymbolStatus.UNWIND_ONLY}
_OF_STATUS = {"no_id": SymbolStatus.NO_ID, "mismatched": SymbolStatus.MISMATCHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineFrame:
    """A call that the compiler inlined; it runs inside of its frame."""

    function: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFrame:
    """What only a Python frame has; columns are 0-based UTF-8 bytes (PEP 657)."""

    name: str | None = None
    qualname: str | None = None
    file: str | None = None
    line: int | None = None
    end_line: int | None = None
    column: int | None = None
    end_column: int | None = None
    placement: Placement = Placement.UNPLACED
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownFrames:
    """Native frames that could not be walked.

    Attributes:
        about: How many there are, about; 0 = perhaps none.
        stack_bytes: The part of the stack that they own, where its ends are known.
    """

    about: int | None = None
    stack_bytes: int | None = None

    def words(self) -> str:
        """`about 2 unknown native frames, 96 bytes of stack`."""
        plural = "" if self.about == 1 else "s"
        count = f"about {self.about}" if self.about else "perhaps"
        extent = f", {self.stack_bytes:,} bytes of stack" if self.stack_bytes else ""
        return f"{count} unknown native frame{plural}{extent}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a merged stack.

    `unknown_frames`: what is not known of the stack before this frame. `omitted_frames`: so many
    were left out before this one because the stack is longer than the limit. `inlines` is newest
    call first. `registers` are there in the newest frame of the crashing thread.
    """

    frame: int = 0
    kind: FrameKind = FrameKind.NATIVE
    trust: FrameTrust = FrameTrust.UNKNOWN
    function: str | None = None
    function_offset: Address | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    module_offset: Address | None = None
    offset: Address | None = None
    inlines: tuple[InlineFrame, ...] | None = None
    missing_symbols: bool | None = None
    plumbing: bool = False
    unknown_frames: UnknownFrames | None = None
    omitted_frames: int | None = None
    python: PythonFrame | None = None
    registers: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonThread:
    """The Python side of one thread."""

    tstate: Address | None = None
    interpreter_id: int | None = None
    holds_gil: bool = False
    exception_type: str | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One thread, its frames newest first; `kernel_stack` tells where it stood in the kernel."""

    thread_id: int | None = None
    thread_name: str | None = None
    frames: tuple[Frame, ...] = ()
    native_frames: int | None = None
    last_error_value: str | None = None
    python: PythonThread | None = None
    info: ThreadInfo | None = None
    kernel_stack: str | None = None
    threads_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Throw:
    """An exception that was thrown before the crash; `frames` are those of the throw.

    `thread` is an index into the threads, `primary` one into the throws: of the throw that made
    the object which a dependent exception stands for. `type` is the demangled type.
    """

    thread: int | None = None
    thread_id: int | None = None
    time_ns: int | None = None
    type: str | None = None
    what: str | None = None
    exception: Address | None = None
    primary: int | None = None
    is_uncaught: bool = False
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAccess:
    """What the crashing instruction read or wrote."""

    address: Address | None = None
    size: int | None = None
    access_type: str | None = None
    is_likely_guard_page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedAddress:
    """A better address than the system's: `kind` is `non-canonical` or `null-pointer`."""

    kind: str | None = None
    address: Address | None = None
    offset: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashInfo:
    """Why the process died; all is `None` when it did not.

    `access` is what the instruction wanted of the memory: `read`, `write` or `execute`. `findings`
    are likely causes, the surest first.
    """

    type: str | None = None
    address: Address | None = None
    access: str | None = None
    adjusted_address: AdjustedAddress | None = None
    instruction: str | None = None
    memory_accesses: tuple[MemoryAccess, ...] | None = None
    crashing_thread: int | None = None
    assertion: str | None = None
    stack_overflow: StackOverflow | None = None
    cpp_exception: CppException | None = None
    findings: tuple[Finding, ...] = ()
    exploitability: Exploitability | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The machine and its operating system."""

    os: str | None = None
    os_ver: str | None = None
    cpu_arch: str | None = None
    cpu_info: str | None = None
    cpu_count: int | None = None


def is_crash(reason: str | None) -> bool:
    """Whether a crash reason is one; not so where somebody asked for the dump."""
    return reason is not None and reason != _REQUESTED


def is_fault(reason: str | None) -> bool:
    """Whether an instruction failed, so that it and its address explain the crash.

    Not so for `abort()` and other signals that somebody sent.
    """
    return is_crash(reason) and not (reason or "").endswith(_SENT)


def system_name(*parts: str | None) -> str:
    """Join an operating system's name and version; a word that begins the next one is left out.

    Linux dumps say the release twice: `6.1.0 Linux 6.1.0-18-amd64 #1 SMP`. Empty when nothing is
    known.
    """
    words: list[str] = []
    for word in " ".join(part for part in parts if part).split():
        if word in words:
            continue
        words = [known for known in words if not word.startswith(f"{known}-")]
        words.append(word)
    return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSymbols:
    """Where a module's symbols are from; `path`: of the file, also of one that did not do."""

    status: str | None = None
    kind: str | None = None
    path: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A program or library that was loaded; `code_file` is its whole path."""

    filename: str | None = None
    code_file: str | None = None
    base_addr: Address | None = None
    end_addr: Address | None = None
    code_id: str | None = None
    debug_file: str | None = None
    debug_id: str | None = None
    version: str | None = None
    loaded_symbols: bool | None = None
    missing_symbols: bool | None = None
    corrupt_symbols: bool | None = None
    symbols: ModuleSymbols = field(default_factory=ModuleSymbols)

    @property
    def symbol_status(self) -> SymbolStatus:
        """What is known of its symbols; those of modules without frames are not looked for."""
        if self.corrupt_symbols:
            return SymbolStatus.CORRUPT
        if self.loaded_symbols:
            return _OF_KIND.get(self.symbols.kind or "", SymbolStatus.LOADED)
        if not self.missing_symbols:
            return SymbolStatus.NOT_NEEDED
        return _OF_STATUS.get(self.symbols.status or "", SymbolStatus.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonProcess:
    """The interpreter; `gil_holder_thread` is an index into the threads."""

    version: str | None = None
    threads: int | None = None
    gil_holder_thread: int | None = None
    finalizing: bool = False
    exception: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One dump, analysed."""

    pid: int | None = None
    process_uptime: int | None = None
    crash_info: CrashInfo | None = None
    system_info: System | None = None
    threads: tuple[Thread, ...] = ()
    crashing_thread: Thread | None = None
    modules: tuple[Module, ...] = ()
    main_module: int | None = None
    python: PythonProcess | None = None
    throws: tuple[Throw, ...] = ()
    handles: tuple[Handle, ...] | None = None
    lastwords: Lastwords | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    soft_errors: tuple[SoftError, ...] = ()

    @property
    def crashing_index(self) -> int | None:
        """Index of the thread that crashed or asked for the dump."""
        return self.crash_info.crashing_thread if self.crash_info else None

    @property
    def is_partial(self) -> bool:
        """Whether anything could not be had."""
        return bool(self.soft_errors)
