"""Conversions between minidumps, ELF cores and microdumps; the core does them."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lastwords.analyze.crash_file import unpacked
from lastwords.errors import CODES, ConvertError, DumpError, LastwordsError

__all__ = ["Conversion", "convert", "is_microdump"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source_kind: `minidump`, `core` or `microdump`.
        target_kind: `core` or `minidump`.
        path: The result.
        size_bytes: Of the result.
        threads: In the result.
        notes: What could not be had, one sentence each.
    """

    source_kind: str
    target_kind: str
    path: Path
    size_bytes: int
    threads: int
    notes: tuple[str, ...]


def is_microdump(path: Path) -> bool:
    """Whether a microdump begins in a file; of one that cannot be read, not."""
    from lastwords import _native as core  # noqa: PLC0415

    try:
        return core.crash_file_kind(os.fspath(path)) == "microdump"
    except (core.CoreError, UnicodeEncodeError):
        return False


def convert(source: Path, target: Path, *, dump_kind: str = "full") -> Conversion:
    """Convert a minidump into an ELF core, or a core or microdump into a minidump.

    The result replaces a file that is there, when it is whole.

    Args:
        source: The file, or a gzip, xz, bzip2 or zstd file of it; what it is, its first bytes tell.
        target: Where the result goes.
        dump_kind: What a minidump made of a core holds: `full`, `mini`, `custom:FLAGS`.

    Raises:
        DumpError: The source is not there, not readable or damaged.
        ConvertError: It is of another kind, or the result cannot be written.
    """
    with unpacked(source) as (plain, _packed_file):
        return _convert(plain, source, target, dump_kind)


def _convert(plain: Path, named: Path, target: Path, dump_kind: str) -> Conversion:
    from lastwords import _native as core  # noqa: PLC0415

    try:
        kind = core.crash_file_kind(os.fspath(plain))
        with tempfile.TemporaryDirectory(
            prefix=".lastwords-convert-", dir=target.parent
        ) as scratch:
            written = Path(scratch, "result")
            report = json.loads(
                core.convert_file(os.fspath(plain), os.fspath(written), kind, dump_kind)
            )
            written.chmod(0o600)
            written.replace(target)
    except core.CoreError as error:
        _raise(error, plain, named)
    except OSError as error:
        raise ConvertError(
            "convert_failed",
            f"{target}: {error.strerror or error}",
            "give a place that can be written",
        ) from error
    return Conversion(
        source_kind=kind,
        target_kind="core" if kind == "minidump" else "minidump",
        path=target,
        size_bytes=target.stat().st_size,
        threads=report["threads"],
        notes=tuple(report["notes"]),
    )


def _raise(error: Exception, plain: Path, named: Path) -> NoReturn:
    """Raise the core's error; messages name the file that was given."""
    code, message, hint = error.args
    message = message.replace(str(plain), str(named))
    if code not in CODES:
        raise LastwordsError("core_failed", f"{code}: {message}", hint) from error
    kind = ConvertError if code.startswith("convert_") else DumpError
    raise kind(code, message, hint) from error
