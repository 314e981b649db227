"""Whatever crash file is given, as a minidump: ELF cores, microdumps, packed files.

What the core reads by itself (minidumps, plain or zstd) is passed through at the cost of reading
its first bytes. Anything else becomes a minidump in a temporary folder, for as long as it is
needed.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lastwords.errors import ConvertError, DumpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase

__all__ = ["CrashFile", "opened_as_minidump", "unpacked", "with_origin"]

_SNIFFED_BYTES = 4096
_READ_BY_THE_CORE = (b"MDMP", b"PMDM")
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_MAX_UNPACKED_BYTES = 16 << 30
_MAX_WHOLE_CORE_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashFile:
    """A file that the core can analyse.

    Attributes:
        path: The minidump.
        origin: What it was made from: `an ELF core`, `a gzip file of a minidump`; `None` = it is
            the file that was given.
        notes: What the conversion could not have, one sentence each.
    """

    path: Path
    origin: str | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def opened_as_minidump(path: Path) -> Iterator[CrashFile]:
    """Give a minidump for a crash file of another kind.

    A file that is nothing of what can be converted is passed through: the core refuses it, and
    says what it is.

    Raises:
        DumpError: The file is packed and damaged, or a core or microdump that cannot be used.
    """
    start = _start_of(path)
    packing = _packing(start)
    if packing is None and _convertible_kind(path, start) is None:
        yield CrashFile(path=path)
        return
    if packing == "zstd" and not _convertible_kind(path, _start_of_zstd(path)):
        yield CrashFile(path=path)
        return
    import tempfile  # noqa: PLC0415  (minidumps, the rule, start 10 ms sooner without)

    with tempfile.TemporaryDirectory(prefix="lastwords-analyze-") as scratch:
        origin, source = "", path
        if packing is not None:
            source = Path(scratch, "unpacked")
            _unpack(path, packing, source)
            start = _start_of(source)
            origin = _packed_file(packing)
        kind = _convertible_kind(source, start)
        if kind is None:
            yield CrashFile(path=source, origin=f"{origin} of a minidump")
            return
        made = _converted(path, source, kind, Path(scratch, "converted.dmp"))
        inner = made.origin or ""
        yield CrashFile(
            path=made.path, origin=f"{origin} of {inner}" if origin else inner, notes=made.notes
        )


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, str | None]]:
    """Give a file as it is, or a packed one unpacked, and `a gzip file` or such for the latter.

    Raises:
        DumpError: It is packed and damaged.
    """
    packing = _packing(_start_of(path))
    if packing is None:
        yield path, None
        return
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="lastwords-unpacked-") as scratch:
        plain = Path(scratch, "unpacked")
        _unpack(path, packing, plain)
        yield plain, _packed_file(packing)


def _packing(start: bytes) -> str | None:
    return next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)


def _packed_file(packing: str) -> str:
    return f"{'an' if packing == 'xz' else 'a'} {packing} file"


def _start_of_zstd(path: Path) -> bytes:
    """The first bytes that are packed; nothing of a file that is damaged there."""
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="lastwords-unpacked-") as scratch:
        head = Path(scratch, "head")
        with suppress(OSError):  # more is in it
            _unpack_zstd(path, head, _SNIFFED_BYTES)
        return _start_of(head)


def _unpack_zstd(path: Path, target: Path, most: int) -> None:
    from lastwords import _native as core  # noqa: PLC0415

    core.unpack_zstd(os.fspath(path), os.fspath(target), most)


def with_origin(document: bytes, file: CrashFile) -> bytes:
    """Write into an analysis document what its dump was made from."""
    if file.origin is None:
        return document
    analysis = json.loads(document)
    analysis.setdefault("lastwords", {})["converted_from"] = file.origin
    errors = analysis.setdefault("soft_errors", [])
    # The dump that was made may hold the same.
    said = {f"{one.get('where')}: {one.get('message')}" for one in errors}
    errors.extend(
        {"code": "conversion_incomplete", "where": file.origin, "message": note}
        for note in file.notes
        if note not in said
    )
    return json.dumps(analysis, ensure_ascii=False).encode()


def _start_of(path: Path) -> bytes:
    """The first bytes of a regular file; nothing of what cannot be read, the core says why."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_SNIFFED_BYTES)
    except OSError:
        return b""


def _convertible_kind(path: Path, start: bytes) -> str | None:
    """`core` or `microdump`."""
    if not start or start.startswith(_READ_BY_THE_CORE):
        return None
    if start.startswith(b"\x7fELF"):
        is_big_endian = start[5:6] == b"\x02"
        return "core" if start[17 if is_big_endian else 16 :][:1] == b"\x04" else None
    from lastwords.analyze.convert import is_microdump  # noqa: PLC0415  (for other files alone)

    return "microdump" if b"\0" not in start and is_microdump(path) else None


def _unpack(path: Path, packing: str, target: Path) -> None:
    """Unpack a file, at most 16 GiB of it."""
    import bz2  # noqa: PLC0415  (one of three, and rarely)
    import gzip  # noqa: PLC0415
    import lzma  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    openers: dict[str, Callable[[Path], BufferedIOBase]] = {
        "gzip": gzip.GzipFile,
        "xz": lzma.LZMAFile,
        "bzip2": bz2.BZ2File,
    }
    try:
        if packing == "zstd":
            _unpack_zstd(path, target, _room(target))
            return
        with openers[packing](path) as packed, target.open("wb") as plain:
            _copy(packed, plain)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DumpError(
            "dump_malformed",
            f"{path}: this is a {packing} file that cannot be unpacked: {error}",
            "get the file again; it is damaged, cut, or larger than 16 GiB",
        ) from error


def _room(target: Path) -> int:
    import shutil  # noqa: PLC0415

    return min(_MAX_UNPACKED_BYTES, shutil.disk_usage(target.parent).free // 2)


def _copy(packed: BufferedIOBase, plain: IO[bytes]) -> None:
    left = _room(Path(plain.name))
    while chunk := packed.read(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise OSError("it holds more than there is place for")
        plain.write(chunk)


def _converted(named: Path, source: Path, kind: str, target: Path) -> CrashFile:
    """Convert a core or microdump; messages name the file that was given."""
    from lastwords.analyze.convert import convert  # noqa: PLC0415  (for other files alone)

    is_large = source.stat().st_size > _MAX_WHOLE_CORE_BYTES
    try:
        done = convert(source, target, dump_kind="miniplus" if is_large else "full")
    except (ConvertError, DumpError) as error:
        reason = error.message.removeprefix(f"{source}: ")
        message = f"{named}: this is {_KINDS[kind]} that cannot be converted: {reason}"
        hint = _HINTS[kind] if error.code != "convert_failed" else error.hint
        raise type(error)(error.code, message, hint) from error
    return CrashFile(path=done.path, origin=_KINDS[kind], notes=done.notes)


_KINDS = {"core": "an ELF core", "microdump": "a Breakpad microdump"}
_HINTS = {
    "core": "open it with gdb: gdb PROGRAM -c FILE",
    "microdump": "give the whole log, from -----BEGIN to -----END BREAKPAD MICRODUMP-----",
}
