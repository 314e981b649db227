"""Numbers as cdb writes them."""

from __future__ import annotations

__all__ = ["address_text", "fill", "signed", "truncate"]

_NO_ADDRESS = {4: "--------", 8: "--------`--------"}


def address_text(value: int | None, pointer_bytes: int) -> str:
    """An address: 8 digits, or twice 8 with a backtick between; dashes for none."""
    if value is None:
        return _NO_ADDRESS[pointer_bytes]
    if pointer_bytes == 4:
        return f"{value & 0xFFFFFFFF:08x}"
    value &= (1 << 64) - 1
    return f"{value >> 32:08x}`{value & 0xFFFFFFFF:08x}"


def signed(value: int, size_bytes: int) -> int:
    """Two's complement of so many bytes."""
    top = 1 << (size_bytes * 8 - 1)
    value &= (top << 1) - 1
    return value - (top << 1) if value & top else value


def truncate(value: int, size_bytes: int) -> int:
    """Cut a number to so many bytes, without sign."""
    return value & ((1 << (size_bytes * 8)) - 1)


def fill(text: str, width: int) -> str:
    """Fill up with spaces on the right."""
    return text.ljust(width)
