"""A process is found by its id or by a name that only one has."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lastwords.errors import ProcessError
from lastwords.monitor.processes import find_process, running_processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def script(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    path = tmp_path / "lw_a_script_of_its_own.py"
    path.write_text("import sys\nprint(flush=True)\nsys.stdin.read()\n")
    process = subprocess.Popen(
        [sys.executable, "-u", path, "--flag"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield path, process
    process.communicate()


def test_a_number_is_a_process_id_whether_it_exists_or_not() -> None:
    assert find_process("4194999") == 4194999


def test_a_script_is_found_by_its_name(script: tuple[Path, subprocess.Popen[bytes]]) -> None:
    path, process = script
    assert find_process(path.name) == process.pid


def test_a_name_of_two_lists_both(script: tuple[Path, subprocess.Popen[bytes]]) -> None:
    path, process = script
    other = subprocess.Popen([sys.executable, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(ProcessError) as caught:
        find_process(path.name)
    other.communicate()
    assert (caught.value.code, caught.value.exit_status) == ("process_ambiguous", 2)
    assert str(process.pid) in caught.value.message
    assert str(other.pid) in caught.value.message


def test_a_name_of_nobody_is_told() -> None:
    with pytest.raises(ProcessError) as caught:
        find_process("lw-nobody-has-this-name")
    assert (caught.value.code, caught.value.exit_status) == ("process_not_found", 3)


def test_neither_we_nor_those_who_started_us_are_meant() -> None:
    pids = {process.pid for process in running_processes()}
    assert os.getpid() not in pids
    assert os.getppid() not in pids
