"""What is missing in a result; apart from the reports, whose classes cost 10 ms."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["SoftError"]

_PUBLIC = {"access": "public"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftError:
    """Something that could not be had; the report goes on without it."""

    code: str | None = field(default=None, metadata=_PUBLIC)
    where: str | None = field(default=None, metadata=_PUBLIC)
    message: str | None = field(default=None, metadata=_PUBLIC)
