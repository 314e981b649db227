"""The symbol cache on dumps of this machine: the same documents, and no symbol file read twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from targets import compile_target, lastwords, start

from lastwords.analyze import analyze_dump_json

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

PYTHON_TARGET = """
import json, os, re, sys, threading, time

def deep(count, ready):
    if count:
        return deep(count - 1, ready)
    ready.set()
    time.sleep(600)

def sort(ready):
    sorted([3, 1, 2], key=lambda _: deep(2, ready))

def substitute(ready):
    re.sub("a", lambda _: deep(1, ready), "aaa")

def decode(ready):
    json.loads('{"a": 1}', object_hook=lambda _: deep(0, ready))

for work in (lambda ready: deep(5, ready), sort, substitute, decode):
    ready = threading.Event()
    threading.Thread(target=work, args=(ready,), daemon=True).start()
    ready.wait()
print(json.dumps({"pid": os.getpid()}), flush=True)
sys.stdin.read()
"""


def dump_of(command: list[str | Path], folder: Path) -> Path:
    process, pid = start(command)
    try:
        done = lastwords("dump", "--json", pid, cwd=folder)
        assert done.returncode == 0, done.stderr
        return folder / json.loads(done.stdout)["dumps"][0]["file"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of a Python process with five threads, and of a program in C with three."""
    folder = tmp_path_factory.mktemp("dumps")
    target = compile_target(folder)
    return [
        dump_of([sys.executable, "-c", PYTHON_TARGET], folder),
        dump_of([target, "live"], folder),
    ]


def test_documents_are_the_same_without_with_an_empty_and_with_a_full_cache(
    dumps: list[Path], tmp_path: Path
) -> None:
    for dump in dumps:
        plain = analyze_dump_json(dump)
        assert b'"loaded"' in plain
        for run in ("first", "second"):
            assert analyze_dump_json(dump, cache_dir=tmp_path / "cache") == plain, run
    assert len(list((tmp_path / "cache").iterdir())) >= 2


def test_another_dump_of_the_same_program_adds_what_it_asks(
    dumps: list[Path], tmp_path: Path
) -> None:
    """Each dump's answers are there whichever came first."""
    for first, second in (dumps, dumps[::-1]):
        cache = tmp_path / first.stem
        for dump in (first, second, first, second):
            assert analyze_dump_json(dump, cache_dir=cache) == analyze_dump_json(dump)


def test_a_second_analysis_opens_no_module(dumps: list[Path], tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace here")
    program = (
        "import sys; from lastwords.analyze import analyze_dump_json as analyze\n"
        "analyze(sys.argv[1], cache_dir=sys.argv[2])"
    )
    command = [sys.executable, "-c", program, str(dumps[0]), str(tmp_path / "cache")]
    subprocess.run(command, check=True)
    files = [module["code_file"] for module in json.loads(analyze_dump_json(dumps[0]))["modules"]]
    trace = tmp_path / "trace"
    traced = [strace, "-f", "-e", "trace=open,openat", "-o", str(trace), *command]
    if subprocess.run(traced, check=False, capture_output=True).returncode != 0:
        pytest.skip("strace may not trace here")
    lines = trace.read_text("utf-8", "replace").splitlines()
    start = next(number for number, line in enumerate(lines) if str(dumps[0]) in line)
    opened = [line for line in lines[start:] if any(f'"{file}"' in line for file in files)]
    assert opened == []
    assert any(os.fspath(tmp_path / "cache") in line for line in lines[start:])
