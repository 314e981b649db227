"""`lastwords convert`: gdb sees in a converted dump what it sees in a core of the process."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from corpus_files import corpus
from dying import DEADLINE_S, PROGRAMS
from foreign import REPOSITORY, tool
from targets import lastwords, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

STAND = PROGRAMS / "stand.py"


@pytest.fixture
def standing() -> Iterator[subprocess.Popen[str]]:
    """A process of several threads that all wait."""
    process, _ = start([sys.executable, STAND])
    yield process
    process.kill()
    process.communicate()


def gcore(pid: int, folder: Path) -> Path:
    command = [tool("gcore"), "-o", str(folder / "core"), str(pid)]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
    return folder / f"core.{pid}"


def backtraces(core: Path) -> dict[int, list[str]]:
    """Thread id → frames as gdb prints them, without values of arguments and variables."""
    command = [tool("gdb"), "--nx", "--batch", "-iex", "set debuginfod enabled off"]
    command += ["-ex", "thread apply all bt -frame-arguments none", sys.executable, str(core)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, errors="replace"
    )
    found: dict[int, list[str]] = {}
    frames: list[str] = []
    for line in done.stdout.splitlines():
        if header := re.match(r"Thread \d+ \((?:Thread 0x\w+ \()?LWP (\d+)", line):
            frames = found.setdefault(int(header[1]), [])
        elif re.match(r"#\d+ ", line):
            frames.append(line)
    assert found, done.stdout + done.stderr
    return found


def convert(source: Path, target: Path, *options: str) -> dict[str, object]:
    done = lastwords("convert", source, target, "--json", *options, cwd=target.parent)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("kind", ["-mm", "-ma"])
def test_gdb_sees_the_same_stacks_in_a_converted_dump(
    standing: subprocess.Popen[str], tmp_path: Path, kind: str
) -> None:
    expected = backtraces(gcore(standing.pid, tmp_path))
    dump = tmp_path / "process.dmp"
    made = lastwords("dump", kind, str(standing.pid), dump, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    done = convert(dump, tmp_path / "converted")
    assert done["source_kind"] == "minidump"
    assert done["threads"] == len(expected)
    found = backtraces(tmp_path / "converted")
    assert found == expected
    assert sum(map(len, found.values())) > 3 * len(found)


@pytest.mark.parametrize("kind", ["full", "mini"])
def test_a_core_and_its_dump_have_the_same_stacks(
    standing: subprocess.Popen[str], tmp_path: Path, kind: str
) -> None:
    core = gcore(standing.pid, tmp_path)
    done = convert(core, tmp_path / "from_core.dmp", "--kind", kind)
    assert (done["source_kind"], done["target_kind"]) == ("core", "minidump")
    shown = [
        json.loads(lastwords("stacks", "--json", file, cwd=tmp_path).stdout)["threads"]
        for file in (core, tmp_path / "from_core.dmp")
    ]
    functions = [
        {one["thread_id"]: [frame["function"] for frame in one["frames"]] for one in threads}
        for threads in shown
    ]
    assert functions[0] == functions[1]
    assert any("py" in (frame["kind"] or "") for one in shown[1] for frame in one["frames"])


def test_a_core_that_became_a_dump_becomes_the_same_core(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    core = gcore(standing.pid, tmp_path)
    convert(core, tmp_path / "there.dmp")
    convert(tmp_path / "there.dmp", tmp_path / "back")
    assert backtraces(tmp_path / "back") == backtraces(core)


def test_memory_of_a_core_is_not_held_in_memory(
    standing: subprocess.Popen[str], tmp_path: Path
) -> None:
    core = gcore(standing.pid, tmp_path)
    blob = tmp_path / "big.core"
    shutil.copy(core, blob)
    grow_first_segment(blob, 512 << 20)
    script = (
        "import re, sys; from pathlib import Path;"
        "from lastwords.analyze.convert import convert;"
        "convert(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(blob), str(tmp_path / "big.dmp")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert (tmp_path / "big.dmp").stat().st_size > 512 << 20
    assert int(done.stdout) < 200 << 10, f"{done.stdout} KiB at most in memory"


def grow_first_segment(core: Path, size: int) -> None:
    """Append so many bytes, and have a further mapping hold them: the last PT_LOAD is replaced."""
    data = bytearray(core.read_bytes())
    table = int.from_bytes(data[32:40], "little")
    count = int.from_bytes(data[56:58], "little")
    end = (len(data) + 4095) // 4096 * 4096
    for index in reversed(range(count)):
        at = table + 56 * index
        if int.from_bytes(data[at : at + 4], "little") == 1:
            entry = [(8, end), (16, 0x10_0000_0000), (24, 0x10_0000_0000), (32, size), (40, size)]
            for offset, value in entry:
                data[at + offset : at + offset + 8] = value.to_bytes(8, "little")
            break
    with core.open("wb") as file:
        file.write(data)
        file.truncate(end)
        file.seek(end)
        for _ in range(size >> 20):
            file.write(b"\xa5" * (1 << 20))


@pytest.mark.parametrize("cpu", ["arm", "arm64", "mips32", "x86"])
def test_a_microdump_of_a_log_becomes_a_dump(tmp_path: Path, cpu: str) -> None:
    data = corpus() / "files/google+breakpad/src/processor/testdata"
    log = data / f"microdump-{cpu}.dmp"
    done = convert(log, tmp_path / "micro.dmp")
    assert (done["source_kind"], done["threads"]) == ("microdump", 1)
    symbols = data / "symbols/microdump"
    command = ["analyze", tmp_path / "micro.dmp", "--json", "--symbols", symbols]
    document = json.loads(lastwords(*command, cwd=tmp_path).stdout)
    frames = document["threads"][0]["frames"]
    reference = data / f"microdump.stackwalk.machine_readable-{cpu}.out"
    assert document["modules"]
    assert frames[0]["trust"] == "context"
    if reference.is_file():
        rows = [line.split("|") for line in reference.read_text().splitlines()]
        first = next(row for row in rows if row[:2] == ["0", "0"])
        assert frames[0]["function"] == first[3]


def test_a_dump_of_arm64_becomes_a_core_of_arm64(tmp_path: Path) -> None:
    log = corpus() / "files/google+breakpad/src/processor/testdata/microdump-arm64.dmp"
    convert(log, tmp_path / "micro.dmp")
    convert(tmp_path / "micro.dmp", tmp_path / "core")
    shown = lastwords("analyze", tmp_path / "micro.dmp", "--json", cwd=tmp_path).stdout
    registers = json.loads(shown)["crashing_thread"]["frames"][0]["registers"]
    command = [tool("gdb-multiarch"), "--nx", "--batch", "-ex", "info registers pc sp x0 x29"]
    done = subprocess.run(
        [*command, "-c", tmp_path / "core"], capture_output=True, text=True, check=False
    )
    found = {line.split()[0]: int(line.split()[1], 16) for line in done.stdout.splitlines()[-4:]}
    names = {"pc": "pc", "sp": "sp", "x0": "x0", "x29": "fp"}
    assert found == {name: int(registers[ours], 16) for name, ours in names.items()}


@pytest.mark.parametrize("pack", [bz2.compress, gzip.compress, lzma.compress])
def test_a_packed_file_is_unpacked_first(
    standing: subprocess.Popen[str], tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    core = gcore(standing.pid, tmp_path)
    packed = tmp_path / "core.packed"
    packed.write_bytes(pack(core.read_bytes()))
    done = convert(packed, tmp_path / "there.dmp")
    assert (done["source_kind"], done["target_kind"]) == ("core", "minidump")
    packed.write_bytes(packed.read_bytes()[:-100])
    damaged = lastwords("convert", packed, tmp_path / "not.dmp", cwd=tmp_path)
    assert damaged.returncode == 3
    assert str(packed) in damaged.stderr
    assert not (tmp_path / "not.dmp").exists()


@pytest.fixture
def foreign_core(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A core of another processor, its program beside it (tests/golden/cores/README.md)."""
    for name in (request.param, f"{request.param}.core"):
        packed = (REPOSITORY / f"tests/golden/cores/{name}.xz").read_bytes()
        (tmp_path / name).write_bytes(lzma.decompress(packed))
    return tmp_path / f"{request.param}.core"


OTHERS = pytest.mark.parametrize("foreign_core", ["aarch64", "armv7a", "i386"], indirect=True)


@OTHERS
def test_a_core_of_another_processor_is_analysed_as_gdb_reads_it(foreign_core: Path) -> None:
    folder = foreign_core.parent
    shown = lastwords("analyze", foreign_core, "--json", "--symbols", folder, cwd=folder).stdout
    analysis = json.loads(shown)
    frames = analysis["crashing_thread"]["frames"]
    ours = [f"{frame['function']} {frame['line']}" for frame in frames]
    assert ours == gdb_frames(foreign_core) == ["depth 8", *["depth 9"] * 3, "_start 16"]
    assert analysis["crash_info"]["crashing_thread"] == 0
    assert re.match(r"ldr|mov", analysis["crash_info"]["instruction"])
    [finding] = analysis["crash_info"]["findings"]
    assert finding["code"] in {"null_pointer", "small_pointer"}
    assert "read from the module's file" in finding["evidence"][0]


@OTHERS
def test_registers_of_a_core_of_another_processor_are_those_that_gdb_reads(
    foreign_core: Path,
) -> None:
    shown = lastwords("analyze", foreign_core, "--json", cwd=foreign_core.parent).stdout
    ours = json.loads(shown)["crashing_thread"]["frames"][0]["registers"]
    other_names = {"x29": "fp", "x30": "lr", "r11": "fp"}
    theirs = gdb_registers(foreign_core)
    known = {name: other_names.get(name, name) for name in theirs}
    same = {name: int(ours[known[name]], 16) for name in theirs if known[name] in ours}
    assert len(same) >= 9
    assert same == {name: theirs[name] for name in same}


def gdb_frames(core: Path) -> list[str]:
    command = [tool("gdb-multiarch"), "--nx", "--batch", "-ex", "bt", core.with_suffix(""), core]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    found = re.findall(r"^#(\d+) .*?(\w+) \(.*:(\d+)$", done.stdout, re.MULTILINE)
    # gdb shows the newest frame once more when it opens the core.
    return [f"{name} {line}" for _number, name, line in found[1:]]


def gdb_registers(core: Path) -> dict[str, int]:
    command = [tool("gdb-multiarch"), "--nx", "--batch", "-ex", "info registers", "-c", core]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    rows = re.findall(r"^(\w+) +(0x[0-9a-f]+) ", done.stdout, re.MULTILINE)
    return {name: int(value, 16) for name, value in rows}


def test_a_core_of_arm64_that_becomes_a_dump_becomes_the_same_core(tmp_path: Path) -> None:
    log = corpus() / "files/google+breakpad/src/processor/testdata/microdump-arm64.dmp"
    convert(log, tmp_path / "first.dmp")
    convert(tmp_path / "first.dmp", tmp_path / "core")
    convert(tmp_path / "core", tmp_path / "second.dmp")
    convert(tmp_path / "second.dmp", tmp_path / "core2")
    assert gdb_registers(tmp_path / "core") == gdb_registers(tmp_path / "core2") != {}


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"plain text\n", 3, "neither a minidump"),
        (b"MDMP" + bytes(60), 3, "x.bin"),
        (b"\x7fELF" + bytes(60), 3, "no core file"),
        (b"-----BEGIN BREAKPAD MICRODUMP-----\nO L sparc 1 x\n", 3, "sparc"),
        (b"", 3, "neither a minidump"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    tmp_path: Path, content: bytes, status: int, words: str
) -> None:
    source = tmp_path / "x.bin"
    source.write_bytes(content)
    done = lastwords("convert", source, tmp_path / "out", cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert not (tmp_path / "out").exists()
