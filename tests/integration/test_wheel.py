"""The one wheel: what it holds and exports, and that alone it captures a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from foreign import tool

if TYPE_CHECKING:
    from dying import Home

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).parents[2]
DIE = """
import ctypes, lastwords, sys
lastwords.install(product="alone", version="1", dump_dir=sys.argv[1])
def fail():
    ctypes.string_at(0)
fail()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built as `pip wheel .` does, in a build folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "build.cfg").write_text(f"[build]\nbuild_base = {folder / 'build'}\n")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", folder, REPOSITORY],
        check=True,
        timeout=1200,
        env={**os.environ, "DIST_EXTRA_CONFIG": str(folder / "build.cfg")},
    )
    wheels = list(folder.glob("*.whl"))
    assert len(wheels) == 1
    return wheels[0]


@pytest.fixture(scope="module")
def fresh_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    python = folder / "bin/python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    subprocess.run([*command, wheel], check=True, timeout=120)
    return python


def test_it_serves_every_python_from_3_10(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name


def test_it_holds_the_extension_the_monitor_and_the_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "lastwords/_native.abi3.so" in names
    assert "lastwords/_native.pyi" in names
    assert "lastwords/py.typed" in names
    executables = ("/scripts/lastwords-monitor", "/scripts/lastwords")
    for ending in (*executables, "/LICENSE-APACHE", "/LICENSE-MIT"):
        assert [name for name in names if name.endswith(ending)], ending


def test_it_requires_nothing(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
    lines = archive.read(name).decode("utf-8").splitlines()
    required = [line for line in lines if line.startswith("Requires-Dist:")]
    assert required
    assert [line for line in required if "extra ==" not in line] == []


def test_the_extension_exports_its_entry_point_only(wheel: Path, tmp_path: Path) -> None:
    extension = zipfile.ZipFile(wheel).extract("lastwords/_native.abi3.so", tmp_path)
    listed = subprocess.run(
        [tool("nm"), "--dynamic", "--defined-only", extension],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["PyInit__native"]


def test_alone_it_captures_a_crash(fresh_python: Path, home: Home) -> None:
    died = subprocess.run(
        [fresh_python, "-I", "-c", DIE, home.spool],
        env=home.environment(),
        cwd=home.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGSEGV, died.stderr
    report = home.report()
    assert report.document["product"] == "alone"
    assert report.document["mechanism"]["signal"]["name"] == "SIGSEGV"
    assert report.dump.read_bytes()[:4] == b"MDMP"


def test_alone_its_command_line_says_what_is_missing(fresh_python: Path, home: Home) -> None:
    told = subprocess.run(
        [fresh_python.with_name("lastwords"), "analyze", "x.dmp"],
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 4
    assert "pip install 'lastwords[analyze]'" in told.stderr
