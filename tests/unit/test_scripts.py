"""What the scripts behind `make` say on a machine that lacks something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
NEEDED = ("bash", "env", "sed", "sort", "head", "cut", "mkdir", "id", "dirname")


@pytest.fixture
def poor_path(tmp_path: Path) -> Path:
    """A PATH with a shell's everyday tools and nothing to build with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def run(script: str, path: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPTS / script],
        env={"PATH": str(path), "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_this_machine_has_what_it_needs() -> None:
    told = run("check-machine", os.environ["PATH"], RUST_WANTED="1.0", HOME=os.environ["HOME"])
    assert (told.returncode, told.stderr) == (0, "")


def test_everything_that_is_missing_is_named_with_what_to_do(poor_path: Path) -> None:
    told = run("check-machine", poor_path, RUST_WANTED="1.88")
    assert told.returncode == 1
    for missing in ("'cc'", "'c++'", "'cargo'"):
        assert missing in told.stderr
    assert "apt-get install build-essential" in told.stderr
    assert told.stderr.count("error: ") == told.stderr.count("hint: ") == 3


def test_a_rust_that_is_too_old_is_told_both_versions(poor_path: Path) -> None:
    for name, says in (("cargo", ""), ("rustc", "rustc 1.70.0 (90c541806 2023-05-31)")):
        (poor_path / name).write_text(f"#!/usr/bin/env bash\necho '{says}'\n")
        (poor_path / name).chmod(0o755)
    told = run("check-machine", poor_path, RUST_WANTED="1.88")
    assert "rustc is of version 1.70.0, but 1.88 or newer is needed" in told.stderr
    assert "rustup update" in told.stderr


def test_a_python_that_is_too_old_is_named(poor_path: Path, tmp_path: Path) -> None:
    old = tmp_path / "python2"
    old.write_text("#!/usr/bin/env bash\nexit 1\n")
    old.chmod(0o755)
    told = run("check-machine", poor_path, RUST_WANTED="1.88", PYTHON=str(old))
    assert f"'{old}' is not a Python of version 3.10 or newer" in told.stderr


@pytest.mark.parametrize(("is_ci", "status"), [("true", 1), ("", 0)])
def test_missing_foreign_readers_are_told_loudly_and_fail_only_in_ci(
    is_ci: str, status: int, poor_path: Path, tmp_path: Path
) -> None:
    told = run(
        "foreign-readers", poor_path, CI=is_ci, TOOLS=str(tmp_path / "tools"), BREAKPAD="minidump"
    )
    assert told.returncode == status
    readers = ["lldb-19", "gdb", "chromium", "minidump_stackwalk"]
    if not is_ci:
        readers.append("clang++")
    for reader in readers:
        assert reader in told.stderr
    assert told.stderr.count("WARNING: the tests that need it will be skipped") == len(readers)
