from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from lastwords.cli.analyze import command
from lastwords.errors import DumpError, SymbolsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A dump that has a system and nothing else: a partial result."""
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 1, 32, 0, 0, 0)
    system = struct.pack("<H18xI32x", 9, 0x8201)
    path = tmp_path / "small.dmp"
    path.write_bytes(header + struct.pack("<III", 7, len(system), 44) + system)
    return path


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A dump of one thread, whose one frame lies in a module with a debug id."""
    streams = {
        7: struct.pack("<H18xI32x", 9, 0x8201),
        3: struct.pack("<IIIIIQQIIII", 1, 7, 0, 0, 0, 0, 0x7000_0000, 64, 1000, 1232, 1100),
        4: struct.pack("<IQIIII52xII8x16x", 1, 0x40_0000, 0x1_0000, 0, 0, 2400, 28, 2500),
    }
    parts = {
        1000: bytes(64),
        1100 + 0x30: struct.pack("<I", 0x10_000B),
        1100 + 0x98: struct.pack("<Q", 0x7000_0000),
        1100 + 0xF8: struct.pack("<Q", 0x40_1010),
        2400: struct.pack("<I", 6) + "app".encode("utf-16-le"),
        2500: b"RSDS" + b"\x11" * 16 + struct.pack("<I", 0) + b"app\0",
    }
    content = bytearray(2600)
    content[:32] = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, len(streams), 32, 0, 0, 0)
    for number, (kind, stream) in enumerate(streams.items()):
        place = 100 + 200 * number
        content[32 + 12 * number : 44 + 12 * number] = struct.pack("<III", kind, len(stream), place)
        content[place : place + len(stream)] = stream
    for place, part in parts.items():
        content[place : place + len(part)] = part
    path = tmp_path / "named.dmp"
    path.write_bytes(content)
    return path


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    """The `.sym` file of that module, old enough to be kept."""
    path = tmp_path / "app.sym"
    path.write_text(f"MODULE Linux x86_64 {'1' * 32}0 app\nFUNC 1000 100 0 function_of_app\n")
    deadline = time.monotonic() + 10
    while time.time() < path.stat().st_ctime + 0.06:
        assert time.monotonic() < deadline
    return path


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_page_goes_to_stdout(dump: Path) -> None:
    result = run(dump)
    assert result.exit_code == 0
    assert result.stdout.startswith("No crash: the dump was taken of a running process\n")
    assert "Linux" in result.stdout
    assert "stream ThreadList: the stream is not there [stream_missing]" in result.stdout
    assert result.stderr == ""


def test_json_is_one_document(dump: Path) -> None:
    result = run(dump, "--json")
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)["lastwords"]["schema"] == 1


def test_a_partial_result_is_5_under_strict_and_0_otherwise(dump: Path) -> None:
    assert run(dump).exit_code == 0
    assert run(dump, "--strict").exit_code == 5
    assert run(dump, "--strict", "--json").exit_code == 5


def test_a_file_that_is_no_dump_is_refused(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\x00" + bytes(46))
    with pytest.raises(DumpError) as caught:
        run(tmp_path / "core")
    assert "this is an ELF core that cannot be converted" in caught.value.message
    assert "gdb" in (caught.value.hint or "")


def test_a_symbol_source_that_is_not_there_is_refused(dump: Path, tmp_path: Path) -> None:
    with pytest.raises(SymbolsError):
        run(dump, "--symbols", tmp_path / "nowhere")


def test_wrong_usage_is_2(dump: Path) -> None:
    assert run(dump, "--threads", "some").exit_code == 2
    assert run(dump, "--max-frames", "0").exit_code == 2
    assert run().exit_code == 2


def test_help_has_an_example_and_the_exit_statuses() -> None:
    text = run("--help").stdout
    assert "lastwords analyze crash.dmp" in text
    assert "3 not readable" in text


def test_answers_about_symbols_are_kept_unless_told_otherwise(
    symbols: Path, named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, told = tmp_path / "default", tmp_path / "told"
    monkeypatch.setenv("LASTWORDS_CACHE_DIR", str(default))
    arguments = (named, "--json", "--symbols", symbols)
    plain = run(*arguments, "--no-cache").stdout
    assert "function_of_app" in plain
    assert not default.exists()
    assert run(*arguments, "--cache-dir", told).stdout == plain
    assert (len(list(told.iterdir())), default.exists()) == (1, False)
    assert run(*arguments).stdout == plain
    assert len(list(default.iterdir())) == 1


def test_the_process_ends_with_3_and_tells_why_on_stderr(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "lastwords", "analyze", str(tmp_path / "none.dmp")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {tmp_path / 'none.dmp'}: there is no such file\nhint: ")


def test_a_reader_that_goes_away_is_no_traceback(dump: Path) -> None:
    command_line = f"{sys.executable} -m lastwords analyze {dump} --json | head -c 1"
    done = subprocess.run(["sh", "-c", command_line], capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_no_traceback(dump: Path, options: list[str]) -> None:
    arguments = [sys.executable, "-m", "lastwords", "analyze", str(dump), *options]
    with open("/dev/full", "w", encoding="ascii") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(
            arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")
    assert done.stderr.count("\n") == 2


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    document = {"crash_info": {"type": "a\u2192b\ud800c"}, "crashing_thread": {"frames": []}}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-m", "lastwords", "signature", str(tmp_path / "a.json")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a\\u2192b")


@pytest.mark.parametrize(("options", "spared"), [
    ([], ()),
    (["--json"], ("msgspec", "lastwords.report.analysis", "lastwords.cli.render.text")),
])  # fmt: skip
def test_a_page_imports_nothing_that_it_does_not_need(
    dump: Path, options: list[str], spared: tuple[str, ...]
) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "lastwords", "analyze", str(dump), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "lastwords.cli.analyze_arguments" in names
    costly = {"rich", "tempfile", "lzma", "http.client", "lastwords.sdk", "lastwords.signature.v1"}
    costly |= {"lastwords.symbols.download", "lastwords.report.crash_report"}
    assert not names & {*costly, *spared}
