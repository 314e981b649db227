"""Symbol files made for tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BUILD_ID = "20a5ea22166c6b0f9cd9291334d716e2f023393e"
DEBUG_ID = "22EAA5206C160F6B9CD9291334D716E20"
SOURCE = """\
static int twice(int value) { return value + value; }
int run(int value) { return twice(value) * 3; }
"""


@dataclass(frozen=True)
class Built:
    """A library with lines, the same stripped, and the address of its function `run`."""

    whole: Path
    stripped: Path
    debug: Path
    run: int


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    (folder / "run.c").write_text(SOURCE)
    whole, stripped, debug = (folder / name for name in ("librun.so", "stripped.so", "run.debug"))
    command = ["cc", "-shared", "-fPIC", "-O1", "-g", f"-Wl,--build-id=0x{BUILD_ID}"]
    subprocess.run([*command, "-o", whole, "run.c"], cwd=folder, check=True)
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
    subprocess.run(["strip", "-o", stripped, whole], check=True)
    listed = subprocess.run(["nm", whole], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    run = next(int(words[0], 16) for words in lines if words[1:] == ["T", "run"])
    return Built(whole=whole, stripped=stripped, debug=debug, run=run)
