"""Exceptions of Python and C++ as a page shows them, read from a foreign report or analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lastwords.web.frame_view import MAX_FRAMES, FrameGroup, FrameView, python_frame, stack
from lastwords.web.json_view import mapping, mappings, name, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExceptionView", "ThrowView", "exception_chain", "throws"]

MAX_CHAIN = 16
_MAX_NOTES = 16
_MAX_NOTE = 4_000
_MAX_LINES = 5_000
_MAX_THROWS = 64
_MAX_THROW_LINES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionView:
    """A Python exception; `relation` says how it led to the next one."""

    type_name: str
    message: str | None
    notes: tuple[str, ...]
    thread_name: str | None
    frames: tuple[FrameView, ...]
    left_out: int
    relation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowView:
    """A C++ exception that was thrown before the crash, with the stack of its throw.

    Args:
        thread: Its thread in words.
        is_death: Nobody caught it, and the process died of it.
        is_of_crashing: The crashing thread threw it.
        primary: Position of the throw that made the object, when this one rethrew it.
    """

    type_name: str
    what: str | None
    thread: str
    is_death: bool
    is_of_crashing: bool
    primary: int | None
    groups: tuple[FrameGroup, ...]
    frame_count: int
    left_out: int


def exception_chain(exception: Mapping[str, object]) -> list[ExceptionView]:
    """Return an exception after those that led to it, as Python prints it: first cause first."""
    chain: list[ExceptionView] = []
    relation: str | None = None
    current = exception
    lines = _MAX_LINES
    while current and len(chain) < MAX_CHAIN:
        view = _exception(current, relation, min(lines, MAX_FRAMES))
        lines -= len(view.frames)
        chain.append(view)
        cause = mapping(current.get("cause"))
        relation = (
            "was the direct cause of the next exception"
            if cause
            else "was being handled when the next exception occurred"
        )
        current = cause or mapping(current.get("context"))
    chain.reverse()
    return chain


def throws(analysis: Mapping[str, object]) -> tuple[list[ThrowView], int]:
    """Return the throws, newest first, and how many were left out."""
    found = mappings(analysis.get("throws"))
    crash = mapping(analysis.get("crash_info"))
    death = number(mapping(crash.get("cpp_exception")).get("throw"))
    crashing = number(crash.get("crashing_thread"))
    lines = _MAX_THROW_LINES
    shown: list[ThrowView] = []
    for index, document in enumerate(found[:_MAX_THROWS]):
        frames = stack(mappings(document.get("frames")), lines)
        lines -= frames.line_count
        thread = number(document.get("thread"))
        thread_id = number(document.get("thread_id"))
        primary = number(document.get("primary"))
        shown.append(
            ThrowView(
                type_name=name(document.get("type")) or "an exception of unknown type",
                what=text(document.get("what")),
                thread="an unknown thread" if thread_id is None else f"thread {thread_id}",
                is_death=death == index,
                is_of_crashing=thread is not None and thread == crashing,
                primary=primary if primary is not None and 0 <= primary < len(found) else None,
                groups=frames.groups,
                frame_count=frames.frame_count,
                left_out=frames.left_out,
            )
        )
    return shown, len(found) - len(shown)


def _exception(document: Mapping[str, object], relation: str | None, limit: int) -> ExceptionView:
    found = mappings(document.get("frames"))
    shown = found[max(len(found) - limit, 0) :]
    type_name, module = text(document.get("type")), text(document.get("module"))
    is_builtin = module in {None, "builtins", "__main__"}
    notes = document.get("notes")
    return ExceptionView(
        type_name=(type_name or "unknown exception") if is_builtin else f"{module}.{type_name}",
        message=text(document.get("message")),
        notes=tuple(str(note)[:_MAX_NOTE] for note in notes[:_MAX_NOTES])
        if isinstance(notes, list)
        else (),
        thread_name=text(document.get("thread_name")),
        frames=tuple(
            replace(python_frame(frame, position), trust="")  # there is no other way to know it
            for position, frame in enumerate(shown)
        ),
        left_out=len(found) - len(shown),
        relation=relation,
    )
