"""Kinds of dumps as settings and commands name them, and the dump plan made of them.

The monitor reads the plan (`crates/monitor/src/plan.rs`); `docs/formats/dump-kinds.md` tells what
each kind holds. Imported only where kinds are given, so that `install()` stays quick.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DUMP_FLAGS",
    "KIND_NAMES",
    "MAX_DUMPS",
    "dump_plan",
    "parse_flags",
    "parse_kind",
    "parse_kinds",
]

KIND_NAMES = ("mini", "triage", "full", "miniplus", "custom", "callback", "kernel")
"""What a dump can be."""
MAX_DUMPS = 16
"""Dumps of one event."""
DUMP_FLAGS = (
    "WithDataSegs",
    "WithFullMemory",
    "WithHandleData",
    "FilterMemory",
    "ScanMemory",
    "WithUnloadedModules",
    "WithIndirectlyReferencedMemory",
    "FilterModulePaths",
    "WithProcessThreadData",
    "WithPrivateReadWriteMemory",
    "WithoutOptionalData",
    "WithFullMemoryInfo",
    "WithThreadInfo",
    "WithCodeSegs",
    "WithoutAuxiliaryState",
    "WithFullAuxiliaryState",
    "WithPrivateWriteCopyMemory",
    "IgnoreInaccessibleMemory",
    "WithTokenInformation",
    "WithModuleHeaders",
    "FilterTriage",
    "WithAvxXStateContext",
    "WithIptTrace",
    "ScanInaccessiblePartialPages",
    "FilterWriteCombinedMemory",
)
"""Names of the `MINIDUMP_TYPE` bits (minidumpapiset.h) without `MiniDump`, lowest bit first."""

_PREFIX = "minidump"
_EXPECTED = "mini, triage, full, miniplus, custom:FLAGS, callback:LIBRARY or kernel"
_MB = 1024 * 1024


def parse_flags(text: str) -> int:
    """Parse a hexadecimal mask, names of `MiniDumpWith…` flags, or both mixed.

    Args:
        text: `0x1826`, `1826`, `WithFullMemory|WithHandleData`; the prefix `MiniDump` may be
            left out, separators are comma, colon, bar and blank, case does not matter.

    Returns:
        The bits.

    Raises:
        ValueError: Its text says what was expected.
    """
    words = text.replace(",", " ").replace(":", " ").replace("|", " ").split()
    if not words:
        raise ValueError("flags behind custom:, such as 0x1826 or WithFullMemory")
    bits = 0
    for word in words:
        bits |= _flag_bits(word)
    return bits


def _flag_bits(word: str) -> int:
    name = word.lower()
    name = name.removeprefix(_PREFIX)
    if name == "normal":
        return 0
    for index, known in enumerate(DUMP_FLAGS):
        if name == known.lower():
            return 1 << index
    digits = name.removeprefix("0x")
    if digits and all(char in "0123456789abcdef" for char in digits):
        bits = int(digits, 16)
        if bits < 1 << len(DUMP_FLAGS):
            return bits
    import difflib

    near = difflib.get_close_matches(word, DUMP_FLAGS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ": " + ", ".join(DUMP_FLAGS)
    raise ValueError(f"a mask of {len(DUMP_FLAGS)} bits or names of flags, not {word!r:.80}{hint}")


def parse_kind(text: str) -> str:
    """Check one kind and write it in its one form, such as `mini` or `custom:0x1826`.

    Raises:
        ValueError: Its text says what was expected.
    """
    name, colon, detail = text.strip().partition(":")
    name = name.strip().lower()
    if name == "custom" and colon:
        return f"custom:{parse_flags(detail):#x}"
    if name == "callback" and detail.strip():
        return f"callback:{os.path.abspath(os.path.expanduser(detail.strip()))}"
    if name in KIND_NAMES and name not in ("custom", "callback") and not colon:
        return name
    raise ValueError(f"{_EXPECTED}, not {text!r:.80}")


def parse_kinds(value: object) -> tuple[str, ...]:
    """Check kinds given as a list, or as one text.

    Args:
        value: A list of texts, one kind each; or one text, in which semicolons separate kinds,
            and commas and blanks do too, except within the flags of `custom:` and behind
            `callback:`.

    Raises:
        ValueError: Its text says what was expected.
    """
    if isinstance(value, str):
        value = _split(value)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"a list of dump kinds: {_EXPECTED}")
    kinds = tuple(dict.fromkeys(parse_kind(item) for item in value))
    if not 1 <= len(kinds) <= MAX_DUMPS:
        raise ValueError(f"1 to {MAX_DUMPS} dump kinds")
    return kinds


def _split(text: str) -> list[str]:
    kinds: list[str] = []
    for part in text.split(";"):
        if part.strip().lower().startswith("callback:"):
            kinds.append(part)
            continue
        is_first = True
        for word in part.replace(",", " ").split():
            if not is_first and not _is_kind(word) and kinds[-1].lower().startswith("custom:"):
                kinds[-1] += " " + word  # one more flag
            else:
                kinds.append(word)
            is_first = False
    return kinds


def _is_kind(word: str) -> bool:
    return word.partition(":")[0].lower() in KIND_NAMES


def dump_plan(
    kinds: Iterable[str],
    *,
    max_dump_mb: float,
    min_free_mb: float,
    compress: bool,
    python_locals: bool,
) -> dict[str, object]:
    """Return the plan as the monitor reads it.

    Args:
        kinds: As `parse_kinds()` gives them.
        max_dump_mb: Most MB of one dump; 0 = no limit.
        min_free_mb: MB that stay free on the disk.
        compress: Whether dumps are compressed with zstd.
        python_locals: Whether dumps hold values of Python's local variables.
    """
    limits = {
        "max_dump_bytes": int(max_dump_mb * _MB),
        "min_free_bytes": int(min_free_mb * _MB),
        "compress": compress,
    }
    dumps = [_dump(kind) for kind in kinds]
    return {"dumps": dumps, "limits": limits, "python_locals": python_locals}


def _dump(kind: str) -> dict[str, object]:
    name, _, detail = kind.partition(":")
    if name == "custom":
        return {"kind": name, "flags": int(detail, 16)}
    return {"kind": name, "library": detail} if name == "callback" else {"kind": name}
