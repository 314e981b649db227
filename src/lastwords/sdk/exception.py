"""Turns a Python exception into `exception` of `report.json`, whatever state it is in.

Everything is bounded (frames, links of the chain, lengths) and nothing raises: exceptions may have
a `__str__` that fails, chains that bite their own tail, and tracebacks of a million frames.
"""

from __future__ import annotations

from itertools import islice

from lastwords.report.scrub import scrub_text
from lastwords.sdk.throw_note import ThrowNote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType

__all__ = ["MAX_CHAIN", "MAX_FRAMES", "MAX_MESSAGE", "MAX_NOTES", "describe"]

MAX_FRAMES = 500
"""Of a longer traceback both ends are kept."""
MAX_CHAIN = 20
"""Exceptions in one chain of causes and contexts."""
MAX_MESSAGE = 8192
"""Characters of a message or note."""
MAX_NOTES = 20
"""Notes of one exception (PEP 678); members of an exception group are listed as notes too."""

_WITHHELD = "[withheld: it could not be scrubbed]"


def describe(
    error: BaseException,
    traceback: TracebackType | None,
    thread_name: str | None,
    soft_errors: list[dict[str, object]],
) -> dict[str, object]:
    """Describe an exception and what led to it.

    Args:
        error: The exception.
        traceback: Its traceback, which hooks are given apart.
        thread_name: Name of the thread that raised it.
        soft_errors: Takes what had to be left out.

    Returns:
        The object that `docs/formats/report.md` calls `exception`. As a traceback does, it
        follows `__cause__`, or else `__context__` unless that is suppressed.
    """
    first = _describe_one(error, traceback, soft_errors)
    first["thread_name"] = thread_name
    last, seen = first, {id(error)}
    current = error
    while True:
        link, following = _next(current)
        if following is None:
            return first
        if id(following) in seen or len(seen) >= MAX_CHAIN:
            reason = "it leads back to itself" if id(following) in seen else f"{MAX_CHAIN} are kept"
            soft_errors.append(
                _soft_error("chain_cut", f"the chain of exceptions is cut: {reason}")
            )
            return first
        seen.add(id(following))
        described = _describe_one(following, following.__traceback__, soft_errors)
        last[link] = described
        last, current = described, following


def _soft_error(code: str, message: str) -> dict[str, object]:
    return {"code": code, "where": "exception", "message": message}


def _next(error: BaseException) -> tuple[str, BaseException | None]:
    try:
        if error.__cause__ is not None:
            return "cause", error.__cause__
        following = None if error.__suppress_context__ else error.__context__
    except Exception:  # noqa: BLE001  (attributes may be properties of the application's class)
        following = None
    return "context", following


def _describe_one(
    error: BaseException,
    traceback: TracebackType | None,
    soft_errors: list[dict[str, object]],
) -> dict[str, object]:
    kind = type(error)
    return {
        "type": _bounded(kind.__qualname__),
        "module": _bounded(str(kind.__module__)),
        "message": _message(error),
        "notes": _notes(error),
        "thread_name": None,
        "frames": _frames(traceback, soft_errors),
        "cpp_throw": _cpp_throw(error),
        "cause": None,
        "context": None,
    }


def _message(error: BaseException) -> str:
    try:
        return _bounded(str(error))
    except BaseException as failure:  # noqa: BLE001  (the application's own __str__, even exit)
        return f"[its __str__ raised {type(failure).__name__}]"


def _bounded(text: str) -> str:
    """Cut first: scrubbing takes time in proportion to the length."""
    length = len(text)
    kept = str.__str__(text)[:MAX_MESSAGE]
    try:
        kept = scrub_text(kept)
    except Exception:  # noqa: BLE001  (at interpreter exit `re` may not be importable any more)
        return _WITHHELD
    return kept if length <= MAX_MESSAGE else f"{kept}…[cut, {length} characters]"


def _notes(error: BaseException) -> list[str]:
    notes: list[str] = []
    try:
        given = getattr(error, "__notes__", None)
        if isinstance(given, (list, tuple)):
            notes += [_bounded(note) for note in given[:MAX_NOTES] if isinstance(note, str)]
        members = getattr(error, "exceptions", None)
        if isinstance(members, tuple):
            notes += [
                f"member {index + 1} of {len(members)}: {type(member).__qualname__}: "
                f"{_message(member)}"
                for index, member in enumerate(members[:MAX_NOTES])
                if isinstance(member, BaseException)
            ]
    except Exception:  # noqa: BLE001  (attributes may be properties of the application's class)
        return notes
    return notes


def _cpp_throw(error: BaseException) -> dict[str, object] | None:
    """The C++ exception that became this one, as its note tells."""
    try:
        notes = getattr(error, "__notes__", None)
        found = [note for note in notes or () if isinstance(note, ThrowNote)]
        if not found:
            return None
        told = found[-1].throw
        what, frames = told["what"], told["frames"]
        return {
            "type": told["type"],
            "what": _bounded(what) if isinstance(what, str) else None,
            "frames": frames if isinstance(frames, list) else [],
        }
    except Exception:  # noqa: BLE001  (attributes may be properties of the application's class)
        return None


def _frames(
    traceback: TracebackType | None, soft_errors: list[dict[str, object]]
) -> list[dict[str, object]]:
    half = MAX_FRAMES // 2
    head: list[dict[str, object]] = []
    tail: list[TracebackType] = []
    count = 0
    while traceback is not None:
        if count < half:
            head.append(_frame(traceback))
        elif len(tail) < half:
            tail.append(traceback)
        else:
            tail[(count - half) % half] = traceback  # a ring: the newest replaces the oldest
        count += 1
        traceback = traceback.tb_next
    if count > MAX_FRAMES:
        turn = (count - half) % half
        tail = tail[turn:] + tail[:turn]
        left_out = count - MAX_FRAMES
        message = f"{count} frames, {left_out} in the middle are left out"
        soft_errors.append(_soft_error("frames_cut", message))
    return head + [_frame(entry) for entry in tail]


def _frame(traceback: TracebackType) -> dict[str, object]:
    code = traceback.tb_frame.f_code
    line, end_line, column, end_column = _position(code, traceback.tb_lasti)
    return {
        "function": code.co_name,
        "qualname": getattr(code, "co_qualname", code.co_name),  # 3.11
        "file": code.co_filename,
        "line": _line(traceback, line),
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _line(traceback: TracebackType, fallback: int | None) -> int | None:
    # typeshed says int, but CPython 3.11 and later answer None for an instruction without a line.
    line: int | None = traceback.tb_lineno
    return fallback if line is None else line


def _position(
    code: CodeType, instruction: int
) -> tuple[int | None, int | None, int | None, int | None]:
    """Where the instruction stands in the source: PEP 657, Python 3.11 and later."""
    nothing = (None, None, None, None)
    if instruction < 0 or not hasattr(code, "co_positions"):
        return nothing
    try:
        return next(islice(code.co_positions(), instruction // 2, None), nothing)
    except Exception:  # noqa: BLE001  (a code object made by hand may have a broken table)
        return nothing
