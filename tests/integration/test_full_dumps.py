"""Full dumps hold the memory of one moment, and the process hardly notices."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dying import PROGRAMS, Death, Home, analyze, run_python
from foreign import read_with_breakpad, read_with_lldb, tool
from full_dump import FullDump

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.integration

PAGE = 4096


def be_dumped(way: str, home: Home, **settings: object) -> Death:
    settings = {"dump_dir": str(home.spool), "min_free_mb": 0, **settings}
    return run_python([PROGRAMS / "be_dumped.py", way, json.dumps(settings)], home)


def dumped(way: str, home: Home, **settings: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the process said of itself, and its report."""
    death = be_dumped(way, home, **settings)
    assert (death.returncode, death.stderr) == (0, "")
    return death.facts, json.loads((Path(death.facts["path"]) / "report.json").read_text())


def codes(errors: Iterable[dict[str, str]]) -> list[str]:
    return [error["code"] for error in errors]


def test_the_memory_is_that_of_one_moment(home: Home) -> None:
    facts, report = dumped("changing", home)
    assert facts["after"] > facts["before"] + 2, "the process worked on while the dump was written"
    dump = FullDump.read(Path(facts["path"]) / "dump.dmp")
    memory = dump.bytes_at(facts["address"], facts["pages"] * PAGE)
    assert memory is not None
    pages = range(0, len(memory), PAGE)
    generations = [struct.unpack_from("<Q", memory, page)[0] for page in pages]
    assert generations[0] - generations[-1] in (0, 1)
    assert sorted(generations, reverse=True) == generations
    assert facts["before"] <= generations[0] <= facts["after"]
    assert report["soft_errors"] == []
    assert report["dump"]["kind"] == "full"
    assert 0 <= report["dump"]["stopped_ms"] < 5_000


def test_the_process_runs_on_undisturbed(home: Home) -> None:
    death = be_dumped("undisturbed", home)
    assert (death.returncode, death.stderr) == (0, "")
    told, facts = (json.loads(line) for line in death.stdout.splitlines())
    assert told["complaints"] == []
    assert (told["sigchld"], told["waited"], facts["children"]) == (0, None, [])
    assert facts["moved"]
    (descriptors, mappings), (descriptors_after, mappings_after) = facts["before"], facts["after"]
    assert descriptors_after == descriptors
    assert mappings_after - mappings < len(told["paths"]), "no dump leaves a mapping behind"
    for path in told["paths"]:
        assert json.loads((Path(path) / "report.json").read_text())["soft_errors"] == []


@pytest.mark.foreign
def test_a_dump_beyond_4_gib_is_sparse_and_can_be_read(home: Home) -> None:
    facts, report = dumped("sparse", home)
    path = Path(facts["path"]) / "dump.dmp"
    assert path.stat().st_size == report["dump"]["size_bytes"] > 6 << 30
    assert path.stat().st_blocks * 512 < 512 << 20
    dump = FullDump.read(path)
    for address in facts["addresses"]:
        assert dump.bytes_at(address, 8) == b"touched!"
    assert dump.bytes_at(facts["untouched"], 64) == bytes(64)
    assert max(dump.offset_of(address) or 0 for address in facts["addresses"]) > 4 << 30
    shown = subprocess.run(
        [tool("lldb-19"), "--batch", "--no-lldbinit", "-o", f"target create --core {path}"]
        + [arg for address in facts["addresses"] for arg in ("-o", f"x/s {address:#x}")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert shown.stdout.count('"touched!"') == 3, shown.stdout + shown.stderr


def test_memory_that_a_clone_does_not_hold_is_read_from_the_process(home: Home) -> None:
    facts, report = dumped("not_copied", home)
    dump = FullDump.read(Path(facts["path"]) / "dump.dmp")
    assert dump.bytes_at(facts["left_out"], 8) == b"left out"
    assert dump.bytes_at(facts["wiped"], 8) == b"is wiped"
    assert codes(report["soft_errors"]) == ["memory_not_frozen"]
    assert f"{2 * PAGE} bytes" in report["soft_errors"][0]["message"]


def test_without_a_clone_the_process_is_held_and_the_dump_is_whole(home: Home) -> None:
    facts, report = dumped("no_clone", home)
    dump = FullDump.read(Path(facts["path"]) / "dump.dmp")
    assert dump.bytes_at(facts["address"], 8) == b"all here"
    assert codes(report["soft_errors"]) == ["process_not_cloned"]
    assert "clone: Operation not permitted" in report["soft_errors"][0]["message"]


def test_a_compressed_dump_is_read_like_any_other(home: Home) -> None:
    facts, report = dumped("compressible", home, compress_dumps=True)
    folder = Path(facts["path"])
    assert sorted(file.name for file in folder.iterdir()) == ["dump.dmp.zst", "report.json"]
    assert report["dump"]["compression"] == "zstd"
    packed = folder / report["dump"]["file"]
    assert packed.stat().st_size == report["dump"]["size_bytes"] < 32 << 20
    analysis = analyze(packed)
    assert analysis["pid"] == facts["pid"]
    if shutil.which("zstd"):
        plain = folder / "plain.dmp"
        subprocess.run(["zstd", "-q", "-d", packed, "-o", plain], check=True, timeout=60)
        assert FullDump.read(plain).bytes_at(facts["address"], 8) == b"packable"


@pytest.mark.foreign
@pytest.mark.parametrize("settings", [{"max_dump_mb": 8}, {"min_free_mb": 10**9}])
def test_a_cut_dump_says_so_and_opens_everywhere(settings: dict[str, int], home: Home) -> None:
    facts, report = dumped("compressible", home, **settings)
    path = Path(facts["path"]) / "dump.dmp"
    assert report["dump"]["is_cut"] is True
    assert codes(report["soft_errors"]) == ["memory_cut"]
    assert next(iter(settings)).replace("_mb", "_bytes") in report["soft_errors"][0]["message"]
    assert path.stat().st_size <= 8 << 20
    assert len(read_with_breakpad(path).thread_ids) == 5
    seen = read_with_lldb(path)
    assert seen["pid"] == facts["pid"]
    assert all(thread["frames"] for thread in seen["threads"])
    told = [error for error in analyze(path)["soft_errors"] if error["code"] == "memory_cut"]
    assert told, "the dump itself tells it too"


def test_a_dead_monitor_takes_the_clone_with_it(home: Home) -> None:
    death = be_dumped("monitor_dies", home)
    assert death.returncode == 0, death.stderr
    assert death.facts["paths"] == [None]
    assert death.facts["clone_state"] in ("Z", None)
    assert death.facts["beats"] > 10
    assert death.facts["again"] == 0


def test_a_crash_leaves_a_full_dump(home: Home) -> None:
    death = be_dumped("crash", home, dump_kinds=["mini", "full"])
    assert death.returncode == -signal.SIGSEGV
    report = home.report()
    assert [dump["file"] for dump in report.document["dumps"]] == ["dump.dmp", "dump-full.dmp"]
    dump = FullDump.read(report.folder / "dump-full.dmp")
    assert dump.bytes_at(death.facts["address"], 8) == b"the last"
    assert "SIGSEGV" in analyze(report.folder / "dump-full.dmp")["crash_info"]["type"]


def test_a_full_dump_of_a_crash_ends_with_the_budget(home: Home) -> None:
    death = be_dumped("large_crash", home, dump_kinds=["full"], budget_s=1.0)
    assert death.returncode == -signal.SIGSEGV
    document = home.report().document
    assert document["dump"]["is_cut"] is True
    (cut,) = [error for error in document["soft_errors"] if error["code"] == "memory_cut"]
    assert "budget_s" in cut["message"]
    assert "SIGSEGV" in analyze(home.report().dump)["crash_info"]["type"]
