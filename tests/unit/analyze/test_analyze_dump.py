from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from analyze_corpus import manifest

from lastwords import _native
from lastwords.analyze import analyze_dump, analyze_dump_json, decode_analysis
from lastwords.errors import CODES, DumpError, LastwordsError, SettingsError, SymbolsError
from lastwords.report.analysis import Address, FrameKind, FrameTrust, SymbolStatus

TEST_DATA = "files/rust-minidump+rust-minidump/testdata"
MIB = 1 << 20


def small_dump() -> bytes:
    """Header, a directory of one entry, and a SystemInfo stream: AMD64 and Linux."""
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 1, 32, 0, 0, 0)
    directory = struct.pack("<III", 7, 56, 44)
    return header + directory + struct.pack("<H18xI32x", 9, 0x8201)


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "small.dmp"
    path.write_bytes(small_dump())
    return path


def test_every_code_of_the_core_is_listed() -> None:
    assert set(_native.error_codes()) <= set(CODES)


def test_a_real_dump_becomes_dataclasses(corpus: Path) -> None:
    analysis = analyze_dump(
        corpus / TEST_DATA / "test.dmp", symbols=[corpus / TEST_DATA / "symbols"]
    )
    assert analysis.crash_info is not None
    assert analysis.crash_info.type == "EXCEPTION_ACCESS_VIOLATION_WRITE"
    assert analysis.crash_info.address == Address(0x45)
    assert analysis.crashing_thread is not None
    newest = analysis.crashing_thread.frames[0]
    assert newest.kind is FrameKind.NATIVE
    assert newest.trust is FrameTrust.CONTEXT
    assert (newest.function, newest.line) == ("`anonymous namespace'::CrashFunction", 58)
    assert analysis.modules[0].symbol_status is SymbolStatus.LOADED
    assert analysis.modules[2].symbol_status is SymbolStatus.MISSING
    assert analysis.pid == 3932


def test_the_document_is_the_same_with_a_symbol_cache(corpus: Path, tmp_path: Path) -> None:
    path, symbols = corpus / TEST_DATA / "test.dmp", [corpus / TEST_DATA / "symbols"]
    plain = analyze_dump_json(path, symbols=symbols)
    folder = tmp_path / "cache"
    for _ in range(2):
        assert analyze_dump_json(path, symbols=symbols, cache_dir=folder) == plain
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir())


def test_a_symbol_cache_that_cannot_be_is_no_error(dump: Path, tmp_path: Path) -> None:
    for folder in (dump, dump / "below", tmp_path / "\udcff", "/proc/nowhere"):
        assert analyze_dump(dump, cache_dir=folder).system_info is not None


def test_the_document_is_the_same_bytes_twice(corpus: Path) -> None:
    path = corpus / TEST_DATA / "linux-mini.dmp"
    assert analyze_dump_json(path) == analyze_dump_json(path)


def test_a_dump_with_next_to_nothing_is_a_partial_result(dump: Path) -> None:
    analysis = analyze_dump(dump)
    assert analysis.threads == ()
    assert analysis.system_info is not None
    assert analysis.system_info.cpu_arch == "amd64"
    told = {(error.code, error.where) for error in analysis.soft_errors}
    missing = {("stream_missing", "stream ThreadList"), ("stream_missing", "stream ModuleList")}
    assert told == missing
    assert analysis.is_partial


def refusal(path: Path) -> tuple[str, str]:
    with pytest.raises(DumpError) as caught:
        analyze_dump(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_status == 3
    return caught.value.code, caught.value.message


def test_dump_not_found(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.dmp")[0] == "dump_not_found"


def test_dump_not_readable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe")[0] == "dump_not_readable"
    assert refusal(tmp_path)[0] == "dump_not_readable"


def test_dump_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.dmp").touch()
    assert refusal(tmp_path / "empty.dmp")[0] == "dump_empty"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00", "an ELF core file"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00", "an ELF program or library"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (b"Traceback (most recent call last):\n", "a text file"),
        (b"\xff\xfe\x00\x81", "a file of a kind that is not known"),
    ],
)
def test_dump_not_a_minidump(tmp_path: Path, start: bytes, kind: str) -> None:
    path = tmp_path / "other.dmp"
    path.write_bytes(start)
    code, message = refusal(path)
    assert code == "dump_not_a_minidump"
    assert f"this is {kind};" in message


def test_dump_malformed(tmp_path: Path) -> None:
    path = tmp_path / "cut.dmp"
    path.write_bytes(small_dump()[:40])
    code, message = refusal(path)
    assert code == "dump_malformed"
    assert "the stream directory lies behind the end of the file (40 bytes)" in message


def test_a_file_without_permission_is_not_readable(tmp_path: Path, dump: Path) -> None:
    dump.chmod(0)
    if os.access(dump, os.R_OK):
        pytest.skip("this user may read everything")
    assert refusal(dump)[0] == "dump_not_readable"


def test_a_path_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dmp"))
    path.write_bytes(small_dump())
    with pytest.raises(DumpError) as caught:
        analyze_dump(path)
    assert caught.value.code == "dump_not_readable"


def test_symbols_not_found(dump: Path, tmp_path: Path) -> None:
    with pytest.raises(SymbolsError) as caught:
        analyze_dump(dump, symbols=[tmp_path / "nowhere"])
    assert caught.value.code == "symbols_not_found"
    assert "nowhere" in caught.value.message


def test_options_invalid(dump: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        analyze_dump(dump, max_frames=-1)
    assert caught.value.code == "options_invalid"
    assert "max_frames" in caught.value.message or "usize" in caught.value.message


def test_analysis_malformed() -> None:
    with pytest.raises(DumpError) as caught:
        decode_analysis(b'{"threads": [{"frames": [{"line": "x"}]}]}')
    assert caught.value.code == "analysis_malformed"
    assert "$.threads[0].frames[0].line" in caught.value.message


def test_a_code_of_a_newer_core_is_not_lost(monkeypatch: pytest.MonkeyPatch, dump: Path) -> None:
    def fail(path: str, options: bytes) -> bytes:
        raise _native.CoreError("brand_new", "what happened", None)

    monkeypatch.setattr(_native, "analyze_dump", fail)
    with pytest.raises(LastwordsError) as caught:
        analyze_dump(dump)
    assert caught.value.code == "core_failed"
    assert caught.value.message == "brand_new: what happened"


LIMITED = """
import json, resource, sys
from lastwords.analyze import analyze_dump_json
from lastwords.errors import LastwordsError
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
answers = {}
for path in json.load(sys.stdin):
    try:
        analyze_dump_json(path, local_modules=False)
        answers[path] = "ok"
    except LastwordsError as error:
        answers[path] = error.code
after = resource.getrusage(resource.RUSAGE_SELF)
cpu_s = after.ru_utime + after.ru_stime
print(json.dumps({"answers": answers, "peak_kib": after.ru_maxrss - before, "cpu_s": cpu_s}))
"""


def limited(paths: list[Path]) -> tuple[dict[str, str], int, float]:
    """Analyse in a process with 1 GiB of address space: answers, memory in bytes, CPU seconds."""
    done = subprocess.run(  # noqa: PLW1510  (its status is looked at below)
        [sys.executable, "-c", LIMITED],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["answers"], told["peak_kib"] * 1024, told["cpu_s"]


def test_every_malformed_file_of_the_corpus_ends_in_order(corpus: Path) -> None:
    paths = [file.path for file in manifest(corpus) if file.kind == "malformed"]
    answers, memory, seconds = limited(paths)
    assert len(answers) == len(paths) > 30
    allowed = {"ok", "dump_malformed", "dump_not_a_minidump", "dump_empty"}
    assert set(answers.values()) == allowed
    assert memory < 200 * MIB
    assert seconds < 20


def endless_stack(stack_bytes: int) -> bytes:
    """A thread whose frame pointers form one chain through its whole stack, in no module."""
    base = 0x7FFE_0000_0000
    context_at, stack_at = 256, 256 + 1232
    context = bytearray(1232)
    struct.pack_into("<I", context, 0x30, 0x100003)
    struct.pack_into("<QQ", context, 0x98, base, base + 16)
    struct.pack_into("<Q", context, 0xF8, 0x1234_5678)
    links = range(base + 16, base + stack_bytes, 16)
    stack = bytes(16) + b"".join(struct.pack("<QQ", at + 16, 0x1234_5678) for at in links)
    thread = struct.pack("<IIIIQ", 7, 0, 0, 0, 0) + struct.pack("<QII", base, len(stack), stack_at)
    threads = struct.pack("<I", 1) + thread + struct.pack("<II", len(context), context_at)
    system = struct.pack("<H18xI32x", 9, 0x8201)
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 2, 32, 0, 0, 0)
    directory = struct.pack("<III", 7, len(system), 56)
    directory += struct.pack("<III", 3, len(threads), 56 + len(system))
    head = header + directory + system + threads
    return head.ljust(context_at, b"\0") + bytes(context) + stack


def test_a_stack_without_end_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "endless.dmp"
    path.write_bytes(endless_stack(32 * MIB))
    answers, memory, seconds = limited([path])
    assert answers == {str(path): "ok"}
    assert memory < 200 * MIB
    assert seconds < 4, "one second of walking, and starting Python"
    frames = analyze_dump(path, max_frames=100).threads[0].frames
    assert len(frames) == 100
    assert frames[50].omitted_frames


def test_one_long_name_for_many_modules_costs_little(tmp_path: Path) -> None:
    """9 MB of file that would be 90 GB of names."""
    name_bytes, count = 4 * MIB, 45_000
    name_at, list_at = 44, 44 + 4 + name_bytes
    name = struct.pack("<I", name_bytes) + b"x\0" * (name_bytes // 2)
    module = struct.pack("<QIIII", 0x1000, 16, 0, 0, name_at) + bytes(84)
    modules = struct.pack("<I", count) + module * count
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 1, 32, 0, 0, 0)
    directory = struct.pack("<III", 4, len(modules), list_at)
    path = tmp_path / "names.dmp"
    path.write_bytes(header + directory + name + modules)
    answers, memory, _ = limited([path])
    assert answers == {str(path): "dump_malformed"}
    assert memory < 200 * MIB


def full_dump(path: Path, heap_bytes: int) -> None:
    """A sparse file: SystemInfo, one thread of which only the stack is not all zeros, a heap."""
    sp, base = 0x7FFE_0000_1000, 0x1000
    context = bytearray(1232)
    struct.pack_into("<I", context, 0x30, 0x0010_0003)
    struct.pack_into("<Q", context, 0x98, sp)
    thread = struct.pack("<IIIIQQIIII", 7, 0, 0, 0, 0, sp, 0, 0, len(context), 0x200)
    memory = struct.pack("<QQQQQQ", 2, base, 0x5500_0000_0000, heap_bytes, sp, 4096)
    streams = {7: struct.pack("<H18xI32x", 9, 0x8201), 3: struct.pack("<I", 1) + thread, 9: memory}
    head = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, len(streams), 32, 0, 0, 2)
    body, rva = b"", 32 + 12 * len(streams)
    for number, stream in streams.items():
        head += struct.pack("<III", number, len(stream), rva)
        body, rva = body + stream, rva + len(stream)
    with path.open("wb") as file:
        file.write((head + body).ljust(0x200, b"\0") + context)
        file.seek(base + heap_bytes)
        file.write(struct.pack("<512Q", *range(512)))


def test_a_dump_of_6_gib_needs_little_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "huge.dmp"
    full_dump(path, 6 << 30)
    code = (
        "import json, re, sys\n"
        "from lastwords.analyze import analyze_dump_json\n"
        "document = json.loads(analyze_dump_json(sys.argv[1]))\n"
        "status = open('/proc/self/status').read()\n"
        "peak_kib = int(re.search(r'VmHWM:\\s*(\\d+)', status)[1])\n"
        "print(json.dumps([peak_kib, document['threads'][0]['frame_count'], "
        "document['lastwords']['dump']['kind'], document['soft_errors']]))\n"
    )
    # The server's children may use 4 GiB of addresses.
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", limited, path], capture_output=True, timeout=60, check=True
    )
    peak_kib, frames, kind, soft_errors = json.loads(done.stdout)
    assert (frames, kind) == (1, "full")
    assert [error["code"] for error in soft_errors] == ["stream_missing"], "only the module list"
    assert peak_kib < 100 << 10
