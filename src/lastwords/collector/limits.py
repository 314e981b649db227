"""How much a client may send. Everything foreign has a bound; these are the bounds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CollectorLimits"]

_KIB = 1 << 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorLimits:
    """Bounds of one delivery, and the guards of the machine.

    Sizes are bytes. `decoded_bytes` and `ratio` bound what a compressed body or dump may grow to:
    more than `ratio` times its input is refused once it is larger than `ratio_from_bytes`.
    """

    body_bytes: int = 256 * _MIB
    decoded_bytes: int = 512 * _MIB
    ratio: int = 200
    ratio_from_bytes: int = _MIB
    parts: int = 1024
    files: int = 64
    part_headers: int = 8
    part_header_bytes: int = 4 * _KIB
    text_part_bytes: int = 64 * _KIB
    """A longer text part becomes an attachment."""
    text_bytes: int = _MIB
    """All text parts together."""
    uploads: int = 256
    """Deliveries that are read at the same time; more wait unread."""
    idle_s: float = 60.0
    """A client that sends nothing for so long is given up."""
    slow_after_s: float = 120.0
    slow_bytes_per_s: int = 256
    """After `slow_after_s`, a client must have sent so much per second on average."""
    drain_bytes: int = 8 * _MIB
    drain_s: float = 5.0
    """What is still read of a refused body, so that the client sees the answer and no reset."""
    min_free_bytes: int = 256 * _MIB
    """Below so much free space nothing is accepted."""
