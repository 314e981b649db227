"""What the tests with real processes share."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dying import PROGRAMS, Home

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder=folder)


@pytest.fixture(scope="session")
def faults_library() -> Path:
    """The library of `crates/faults`, built by `make test`."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    library = Path(os.environ.get("LASTWORDS_FAULTS", target / "release/liblastwords_faults.so"))
    if not library.is_file():
        pytest.fail(f"{library} is missing: cargo build --release --package lastwords-faults")
    return library.resolve()


@pytest.fixture(scope="session")
def faulty_monitor(faults_library: Path) -> Path:
    """The monitor whose system calls go wrong by order, built with the library."""
    return faults_library.parent / "faulty-monitor"


@pytest.fixture(scope="session")
def faults_cpp_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ways to die that need C++ (programs/faults.cpp), built once."""
    library = tmp_path_factory.mktemp("faults") / "libfaults_cpp.so"
    checks = ["-fstack-protector-all", "-D_FORTIFY_SOURCE=2", "-Wl,--build-id"]
    options = ["-std=c++17", "-g", "-O1", "-fPIC", "-shared", "-w", "-pthread", *checks]
    command = ["g++", *options, "-o", library, PROGRAMS / "faults.cpp"]
    subprocess.run(command, check=True, timeout=120)
    return library


@pytest.fixture
def core_folder(tmp_path: Path) -> Path:
    """A folder in which the system leaves core files of programs that die there."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text("utf-8").strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"core files do not go into the working folder here: core_pattern is {pattern}")
    folder = tmp_path / "cores"
    folder.mkdir()
    return folder
