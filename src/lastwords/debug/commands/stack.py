"""Stacks: `k` and its kin, `.frame`, `!uniqstack`, `!findstack`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lastwords.debug.code_text import current_instruction
from lastwords.debug.frame_text import call_site, place_of, source_text
from lastwords.debug.problem import Problem
from lastwords.debug.registers import register_lines
from lastwords.debug.registry import command
from lastwords.debug.source_lines import lines_around
from lastwords.debug.syntax import split_options, split_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame, Thread

__all__ = ["frame_lines", "stack_lines", "stack_style", "thread_header"]

_THEME = "Stacks"
_DEFAULT_FRAMES = 256
_LETTERS = "bcdDfFLMnNpPrsvt"
_KS = ("k", "kb", "kn", "kp", "kP", "kv", "kf", "kc", "kL", "kd")
_GUESSES = {"scan", "cfi_scan", "prewalked"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """What a stack shows, by the letters behind `k`."""

    is_numbered: bool
    has_arguments: bool
    has_sizes: bool
    has_parameters: bool
    is_clean: bool
    are_parameters_apart: bool
    has_pointers: bool
    are_lines_shown: bool

    @classmethod
    def of(cls, letters: str, *, are_lines_shown: bool) -> _Style:
        return cls(
            is_numbered="n" in letters or "N" in letters,
            has_arguments="b" in letters or "v" in letters,
            has_sizes="f" in letters,
            has_parameters="p" in letters or "P" in letters,
            is_clean="c" in letters,
            are_parameters_apart="P" in letters,
            has_pointers="b" not in letters,
            are_lines_shown=are_lines_shown and "L" not in letters,
        )


def stack_style(letters: str, *, are_lines_shown: bool) -> _Style:
    """What the letters behind `k` mean."""
    return _Style.of(letters, are_lines_shown=are_lines_shown)


@command(
    *_KS,
    usage="[COUNT]",
    summary="the stack; b arguments, n numbers, p parameters, v all, f bytes, c names, L no lines",
    example="kn 10",
    theme=_THEME,
)
def show_stack(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """The chosen thread's stack."""
    letters = name[1:]
    while arguments and arguments[0] in _LETTERS and not re.match(r"[0-9a-fA-F]+(\s|$)", arguments):
        letters, arguments = letters + arguments[0], arguments[1:].strip()
    count = _count(arguments)
    if debugger.is_exception_context:
        yield "  *** Stack trace for last set context - .thread/.cxr resets it"
    style = _Style.of(letters, are_lines_shown=debugger.are_lines_shown)
    yield from stack_lines(debugger, debugger.frames(), style, count)
    notes = debugger.target.stack_notes(
        debugger.thread, own_context=not debugger.is_exception_context
    )
    for error in notes["soft_errors"]:
        yield f"Note: {error['message']}"


def _count(text: str) -> int:
    if not text:
        return _DEFAULT_FRAMES
    found = re.fullmatch(r"(?:0x|L)?([0-9a-fA-F]+)", text.strip())
    if not found:
        raise Problem(f"Range error in '{text}'; a count of frames is wanted, in hexadecimal: k 10")
    return int(found.group(1), 16)


def stack_lines(
    debugger: Debugger, frames: list[Frame], style: _Style, count: int
) -> Iterable[str]:
    """A header and a line for each frame."""
    if not frames:
        yield "(no frames: this thread wrote the dump, or its registers are not in it)"
        return
    is_64 = debugger.pointer_bytes == 8
    yield _header(style, is_64=is_64)
    is_warned = False
    previous: Frame | None = None
    for frame in frames[:count]:
        if frame.trust in _GUESSES and not is_warned and frame.kind == "native":
            is_warned = True
            yield "WARNING: Stack unwind information not available. Following frames may be wrong."
        unknown = frame.facts.get("unknown_frames") if frame.kind != "inline" else None
        if unknown:
            yield f"(about {unknown['about']} frames here could not be walked)"
        yield from frame_lines(debugger, frame, style, previous)
        if frame.kind == "native":
            previous = frame
    if len(frames) > count and count == _DEFAULT_FRAMES:
        yield f"({len(frames) - count} more frames; k {len(frames):x} shows all)"


def _header(style: _Style, *, is_64: bool) -> str:
    number = " # " if style.is_numbered else ""
    size = "  Memory  " if style.has_sizes else ""
    if style.is_clean:
        return f"{number}Call Site"
    if not is_64:
        arguments = "Args to Child              " if style.has_arguments else ""
        return f"{number}{size}ChildEBP RetAddr      {arguments}".rstrip()
    pointer = "Child-SP          " if style.has_pointers else ""
    if style.has_arguments:
        return f"{number}{size}{pointer}RetAddr               : {'Args to Child':<71} : Call Site"
    return f"{number}{size}{pointer}RetAddr               Call Site"


def frame_lines(
    debugger: Debugger, frame: Frame, style: _Style, previous: Frame | None
) -> Iterable[str]:
    """One frame's line, and with `kP` its parameters."""
    number = f"{frame.number:02x} " if style.is_numbered else ""
    parameters = _parameters(debugger, frame) if style.has_parameters else None
    site = call_site(debugger, frame, are_lines_shown=style.are_lines_shown)
    if parameters is not None:
        site = _with_parameters(debugger, frame, parameters, style)
    if style.is_clean:
        yield f"{number}{place_of(debugger, frame)}"
        return
    size = _size_text(frame, previous) if style.has_sizes else ""
    yield f"{number}{size}{_addresses(debugger, frame, style)}{site}"


def _addresses(debugger: Debugger, frame: Frame, style: _Style) -> str:
    text, width = debugger.target.address, 17 if debugger.pointer_bytes == 8 else 8
    is_64 = debugger.pointer_bytes == 8
    if frame.kind != "native":
        word = "(Inline Function)" if frame.kind == "inline" else "(Python Frame)"
        first = f"{word if is_64 else word[:8]:<{width}}"
        if not is_64:
            first = "(Inline)" if frame.kind == "inline" else "(Python)"
        none = text(None)
        if not style.has_arguments:
            return f"{first} {none}     "
        dashes = " ".join([none] * (4 if is_64 else 3))
        lead = f"{first} " if style.has_pointers or not is_64 else ""
        colons = (" : ", " : ") if is_64 else (" ", " ")
        return f"{lead}{none}    {colons[0]}{dashes}{colons[1]}"
    base = frame.sp
    if not is_64:
        base = frame.cfa - 8 if frame.cfa is not None else frame.registers.get("ebp", frame.sp)
    lead = f"{text(base)} " if style.has_pointers or not is_64 else ""
    line = f"{lead}{text(frame.return_address)}"
    if not style.has_arguments:
        return f"{line}     "
    values = " ".join(_arguments(debugger, frame))
    return f"{line}     : {values} : " if is_64 else f"{line}     {values} "


def _arguments(debugger: Debugger, frame: Frame) -> list[str]:
    """The words where arguments stand: behind the return address.

    Of x64, where they were in registers, that is the caller's home space; of other systems than
    Windows these words are the caller's own.
    """
    size = debugger.pointer_bytes
    count = 4 if size == 8 else 3
    dashes = "-" * 8 if size == 4 else "--------`--------"
    if frame.cfa is None:
        return [dashes] * count
    words = (debugger.target.read_number(frame.cfa + index * size) for index in range(count))
    return [dashes if word is None else debugger.target.address(word) for word in words]


def _size_text(frame: Frame, previous: Frame | None) -> str:
    if frame.kind != "native" or previous is None:
        return " " * 10
    return f"{max(frame.sp - previous.sp, 0):9x} "


def _parameters(debugger: Debugger, frame: Frame) -> list[str] | None:
    from lastwords.debug.variables import frame_variables, value_text  # noqa: PLC0415

    if frame.native is None or frame.kind == "python":
        return None
    found = frame_variables(debugger, frame)
    return [
        f"{one.type_name(debugger)} {one.name} = {value_text(debugger, one)}"
        for one in found
        if one.is_parameter
    ]


def _with_parameters(debugger: Debugger, frame: Frame, parameters: list[str], style: _Style) -> str:
    place = place_of(debugger, frame)
    name, plus, offset = place.rpartition("+0x")
    if not plus or frame.function is None:
        name, plus, offset = place, "", ""
    if style.are_parameters_apart and parameters:
        text = ",\n".join(f"\t\t\t{one}" for one in parameters)
        inside = f"(\n{text})"
    else:
        inside = f"({', '.join(parameters)})"
    source = source_text(frame) if style.are_lines_shown else ""
    return f"{name}{inside}{plus}{offset}{source}".rstrip()


def thread_header(debugger: Debugger, thread: Thread) -> str:
    """`.  7  Id: 1a4.1b2c Suspend: 1 Teb: 00000009`bf6d2000 Unfrozen "name"`."""
    exception = debugger.target.exception
    mark = " "
    if exception is not None and exception["thread"] == thread.index:
        mark = "#"
    if thread.index == debugger.thread:
        mark = "."
    pid = debugger.target.about["process_id"]
    ids = f"{pid:x}.{thread.id:x}" if pid is not None else f"{thread.id:x}"
    teb = debugger.target.address(thread.teb)
    name = f' "{thread.name}"' if thread.name else ""
    suspended = thread.facts["suspend_count"]
    writer = " (wrote the dump)" if thread.facts["is_writer"] else ""
    head = f"{mark} {thread.index:>2}  Id: {ids} Suspend: {suspended:x} Teb: {teb}"
    return f"{head} Unfrozen{name}{writer}"


@command(
    ".frame",
    usage="[/r] [NUMBER]",
    summary="choose a frame: its registers and variables count then; /r shows registers",
    example=".frame /r 2",
    theme=_THEME,
)
def choose_frame(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Choose a frame of the stack."""
    options, rest = split_options(arguments)
    frames = debugger.frames()
    if rest:
        number = _count(rest)
        if number >= len(frames):
            raise Problem(
                f"Cannot find frame {number:#x}, previous scope unchanged; "
                f"there are {len(frames):#x}"
            )
        debugger.frame_number = number
    frame = debugger.frame()
    yield from _chosen(debugger, frame)
    if "r" in options:
        yield from register_lines(debugger, frame)
        yield from current_instruction(debugger, frame)


def _chosen(debugger: Debugger, frame: Frame) -> Iterable[str]:
    style = _Style.of("n", are_lines_shown=True)
    yield from frame_lines(debugger, frame, style, None)
    yield from lines_around(debugger, frame, before=0, after=0)


@command(
    "!uniqstack",
    usage="[b|v|n]",
    summary="the stacks of all threads, of equal ones the first",
    example="!uniqstack",
    theme=_THEME,
)
def unique_stacks(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Every stack once."""
    word, _rest = split_word(arguments)
    style = _Style.of(word.lstrip("-"), are_lines_shown=debugger.are_lines_shown)
    seen: dict[tuple[str, ...], int] = {}
    same: dict[int, list[int]] = {}
    yield f"Processing {len(debugger.target.threads)} threads, please wait"
    for thread in debugger.target.threads:
        frames = debugger.frames(thread.index)
        key = tuple(place_of(debugger, frame) for frame in frames)
        if key in seen:
            same.setdefault(seen[key], []).append(thread.index)
            continue
        seen[key] = thread.index
        yield ""
        yield thread_header(debugger, thread)
        yield from stack_lines(debugger, frames, style, _DEFAULT_FRAMES)
    yield ""
    yield f"Total threads: {len(debugger.target.threads)}"
    duplicates = sorted(index for indices in same.values() for index in indices)
    words = ", ".join(str(index) for index in duplicates)
    yield f"Duplicate callstacks: {len(duplicates)} (thread #s follow): {words}".rstrip(": ")


@command(
    "!findstack",
    usage="SYMBOL [0|1|2]",
    summary="the threads whose stack names a symbol or module",
    example="!findstack _PyEval 2",
    theme=_THEME,
)
def find_stack(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Threads by what runs in them."""
    wanted, rest = split_word(arguments)
    if not wanted:
        raise Problem("A symbol, a part of one, or a module is wanted: !findstack malloc")
    level = int(rest) if rest.isdigit() else 1
    pattern = wanted.lower().replace("*", "")
    is_any = False
    for thread in debugger.target.threads:
        frames = debugger.frames(thread.index)
        hits = [frame for frame in frames if pattern in place_of(debugger, frame).lower()]
        if not hits:
            continue
        is_any = True
        yield f"Thread {thread.index:03d}, {len(hits)} frame(s) match"
        if level == 0:
            continue
        for frame in frames:
            is_hit = frame in hits
            if is_hit or level >= 2:
                mark = "*" if is_hit else " "
                address = debugger.target.address
                yield (
                    f"        {mark} {frame.number:02x} {address(frame.sp)} "
                    f"{address(frame.return_address)} {place_of(debugger, frame)}"
                )
        yield ""
    if not is_any:
        yield f"No threads were found with frames matching '{wanted}'"
