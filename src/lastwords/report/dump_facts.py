"""What an analysis says of the dump beside its stacks; format: `docs/formats/analysis.md`.

As in `lastwords.report.analysis` every field may be missing: absent is `None`, or empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CppException", "DumpFacts", "Handle", "Lastwords", "StackOverflow", "ThreadInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOverflow:
    """The stack of a thread was full; `thread` is an index into the threads."""

    thread: int | None = None
    stack_bytes: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CppException:
    """The exception that `std::terminate` died of; `throw` is an index into the throws."""

    type: str | None = None
    what: str | None = None
    throw: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadInfo:
    """Times and start of a thread; times are RFC 3339, spans are in seconds."""

    create_time: str | None = None
    exit_time: str | None = None
    user_s: float | None = None
    kernel_s: float | None = None
    start_address: str | None = None
    affinity: str | None = None
    dump_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """An open file, socket or other object; on Linux `handle` is the descriptor's number."""

    handle: int | None = None
    type_name: str | None = None
    object_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFacts:
    """The dump as a file: `lacks` names what it cannot answer."""

    kind: str | None = None
    flags: str | None = None
    flag_names: tuple[str, ...] = ()
    created: str | None = None
    comments: tuple[str, ...] = ()
    is_cut: bool | None = None
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lastwords:
    """What lastwords says of the dump; `metadata` and `breadcrumbs` are our writer's own JSON.

    `converted_from`: what the file was before it became a minidump: `an ELF core`, ….
    """

    version: str | None = None
    schema: int | None = None
    dump: DumpFacts = field(default_factory=DumpFacts)
    metadata: Any = None
    breadcrumbs: Any = None
    converted_from: str | None = None
