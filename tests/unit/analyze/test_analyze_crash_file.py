from __future__ import annotations

import bz2
import gzip
import json
import lzma
from typing import TYPE_CHECKING

import pytest

from lastwords.analyze.convert import convert
from lastwords.analyze.crash_file import CrashFile, opened_as_minidump, with_origin
from lastwords.errors import ConvertError, DumpError, LastwordsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BREAKPAD = "files/google+breakpad/src/processor/testdata"
NETBSD = (
    "files/llvm-mirror+lldb/packages/Python/lldbsuite/test/functionalities/postmortem/netbsd-core"
)
CORES = "files/llvm-mirror+lldb/packages/Python/lldbsuite/test/functionalities/postmortem/elf-core"


@pytest.mark.parametrize(
    "start", [b"MDMP", b"PMDM", b"\x28\xb5\x2f\xfd", b"", b"\x7fELF", b"hello"]
)
def test_what_the_core_reads_or_refuses_is_passed_through(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(start + bytes(40) if start != b"hello" else b"hello, log\n")
    with opened_as_minidump(path) as file:
        assert file == CrashFile(path=path)


def test_a_file_that_is_not_there_is_left_to_the_core(tmp_path: Path) -> None:
    with opened_as_minidump(tmp_path / "none") as file:
        assert file.path == tmp_path / "none"


def zstd(data: bytes) -> bytes:
    """A zstd file of one block that is not compressed (RFC 8878, 3.1.1)."""
    header = b"\x28\xb5\x2f\xfd" + b"\xa0" + len(data).to_bytes(4, "little")
    return header + (len(data) << 3 | 1).to_bytes(3, "little") + data


def test_a_zstd_file_of_a_minidump_is_left_to_the_core(tmp_path: Path) -> None:
    path = tmp_path / "crash.dmp.zst"
    path.write_bytes(zstd(b"MDMP" + bytes(8000)))
    with opened_as_minidump(path) as file:
        assert (file.path, file.origin) == (path, None)


def test_a_zstd_file_of_a_core_is_unpacked(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "core.zst"
    path.write_bytes(zstd((corpus / f"{CORES}/linux-x86_64.core").read_bytes()))
    with opened_as_minidump(path) as file:
        assert file.path.read_bytes()[:4] == b"MDMP"
        assert file.origin == "a zstd file of an ELF core"


@pytest.mark.parametrize(
    ("pack", "origin"),
    [(gzip.compress, "a gzip file"), (lzma.compress, "an xz file"), (bz2.compress, "a bzip2 file")],
)
def test_packed_dumps_are_unpacked(
    tmp_path: Path, pack: Callable[[bytes], bytes], origin: str
) -> None:
    path = tmp_path / "crash.dmp.packed"
    path.write_bytes(pack(b"MDMP" + bytes(100)))
    with opened_as_minidump(path) as file:
        assert file.path.read_bytes() == b"MDMP" + bytes(100)
        assert file.origin == f"{origin} of a minidump"
    assert not file.path.exists()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_packed_file_that_is_cut_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "crash.dmp.packed"
    path.write_bytes(pack(b"MDMP" + bytes(range(256)) * 40)[:-12])
    with pytest.raises(DumpError) as caught, opened_as_minidump(path):
        pass
    assert caught.value.code == "dump_malformed"
    assert caught.value.message.startswith(f"{path}: this is a")


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        (f"{BREAKPAD}/microdump-x86.dmp", "a Breakpad microdump"),
        (f"{BREAKPAD}/microdump-mips32.dmp", "a Breakpad microdump"),
        (f"{CORES}/linux-x86_64.core", "an ELF core"),
        (f"{CORES}/linux-i386.core", "an ELF core"),
        (f"{CORES}/linux-arm.core", "an ELF core"),
    ],
)
def test_cores_and_microdumps_become_minidumps(corpus: Path, name: str, origin: str) -> None:
    with opened_as_minidump(corpus / name) as file:
        assert file.path.read_bytes()[:4] == b"MDMP"
        assert file.origin == origin
    assert not file.path.exists()


def test_a_packed_core_is_unpacked_and_converted(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "core.gz"
    path.write_bytes(gzip.compress((corpus / CORES / "linux-x86_64.core").read_bytes()))
    with opened_as_minidump(path) as file:
        assert file.origin == "a gzip file of an ELF core"


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        (f"{NETBSD}/1lwp_SIGSEGV.amd64.core", "an ELF core", "gdb"),
    ],
)
def test_what_cannot_be_converted_is_named(corpus: Path, name: str, kind: str, hint: str) -> None:
    with pytest.raises((ConvertError, DumpError)) as caught, opened_as_minidump(corpus / name):
        pass
    error: LastwordsError = caught.value
    assert error.exit_status == 3
    assert error.message.startswith(f"{corpus / name}: this is {kind} that cannot be converted: ")
    assert error.message.count(str(corpus / name)) == 1
    assert hint in (error.hint or "")


def test_the_document_says_what_it_was_made_from(tmp_path: Path) -> None:
    document = b'{"lastwords": {"schema": 1}, "soft_errors": []}'
    plain = CrashFile(path=tmp_path)
    assert with_origin(document, plain) is document
    notes = ("no names of threads", "a.out: it is not on this machine")
    made = CrashFile(path=tmp_path, origin="an ELF core", notes=notes)
    said = {"code": "core_file_missing", "where": "a.out", "message": "it is not on this machine"}
    document = json.dumps({"lastwords": {"schema": 1}, "soft_errors": [said]}).encode()
    analysis = json.loads(with_origin(document, made))
    assert analysis["lastwords"] == {"schema": 1, "converted_from": "an ELF core"}
    assert analysis["soft_errors"] == [
        said,
        {
            "code": "conversion_incomplete",
            "where": "an ELF core",
            "message": "no names of threads",
        },
    ]


def test_a_microdump_of_an_unknown_processor_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("-----BEGIN BREAKPAD MICRODUMP-----\nO L sparc 1 x\nC 00\n")
    with pytest.raises(ConvertError) as caught, opened_as_minidump(log):
        pass
    assert "a Breakpad microdump" in caught.value.message
    assert "whole log" in (caught.value.hint or "")


def test_a_zstd_file_is_converted(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "core.zst"
    path.write_bytes(zstd((corpus / f"{CORES}/linux-x86_64.core").read_bytes()))
    done = convert(path, tmp_path / "out.dmp")
    assert (done.source_kind, done.path.read_bytes()[:4]) == ("core", b"MDMP")
