"""The rows of the table, and how a figure is taken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "PROGRAMS",
    "REPOSITORY",
    "Row",
    "cargo_program",
    "environment",
    "home",
    "machine",
    "package",
    "peak_kib",
    "run",
    "version_of",
]

REPOSITORY = Path(__file__).parents[1]
PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        promise: What is measured.
        value: Our figure.
        unit: Unit of both figures.
        peer: What it is compared with, and its version; `None` if there is no peer.
        peer_value: The peer's figure; `None` if the peer is missing here.
        command: How both were measured.
        limit: What our figure must not exceed, in `unit`; `None` = nothing is promised.
        at_least: What our figure must reach, in `unit`; `None` = nothing is promised.
        ratio_limit: What our figure divided by the peer's must not exceed.
    """

    promise: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    command: str
    limit: float | None = None
    at_least: float | None = None
    ratio_limit: float | None = None

    @property
    def must(self) -> str:
        """What is promised, in words."""
        words = [f"≤ {self.limit:g} {self.unit}"] if self.limit is not None else []
        words += [f"≥ {self.at_least:g} {self.unit}"] if self.at_least is not None else []
        words += [f"≤ {self.ratio_limit:.3g} x peer"] if self.ratio_limit is not None else []
        return ", ".join(words) or "-"

    @property
    def verdict(self) -> str:
        """`OK`, `MISSED`, or `-`: nothing is promised, or the peer of a ratio is missing."""
        kept = [self.value <= self.limit] if self.limit is not None else []
        if self.at_least is not None:
            kept.append(self.value >= self.at_least)
        if self.ratio_limit is not None and self.ratio is not None:
            kept.append(self.ratio <= self.ratio_limit)
        return ("OK" if all(kept) else "**MISSED**") if kept else "-"

    @property
    def ratio(self) -> float | None:
        """Our figure divided by the peer's: below 1 is better."""
        return self.value / self.peer_value if self.peer_value else None


@contextmanager
def home() -> Iterator[Path]:
    """A home of its own for the measured programs, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lastwords-bench-") as folder:
        yield Path(folder)


def environment(folder: Path) -> dict[str, str]:
    """Environment of the measured programs: nothing of the user's is read or written."""
    # pip compiles what it installs; what is measured has its bytecode too.
    left_out = ("LASTWORDS_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    state = {
        "HOME": folder,
        "XDG_CONFIG_HOME": folder / "config",
        "XDG_STATE_HOME": folder / "state",
        "XDG_CACHE_HOME": folder / "cache",
    }
    return kept | {key: str(value) for key, value in state.items()}


def run(
    arguments: Sequence[str | Path], folder: Path, *, may_fail: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        sys.exit(f"error: {' '.join(done.args)} ended with {done.returncode}\n{done.stderr}")
    return done


def dump_of_five_threads(folder: Path) -> Path:
    """A dump of a small program, made in its home `folder`."""
    program = [sys.executable, str(PROGRAMS / "five_threads.py")]
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(folder)
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        command = [sys.executable, "-m", "lastwords", "dump", "--json", str(process.pid)]
        return folder / json.loads(run(command, folder).stdout)["dumps"][0]["file"]
    finally:
        process.kill()
        process.communicate()


_PEAK = """
import os, sys
actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_kib(command: Sequence[str], folder: Path) -> float:
    """Most resident memory of a program, as the kernel counts it.

    A new program inherits the figure of the one that started it, so a small one starts it.
    """
    return float(run([sys.executable, "-I", "-S", "-c", _PEAK, *command], folder).stdout)


def package(requirement: str) -> Path | None:
    """Folder with a package, installed there at the first run; `None` where that is impossible."""
    packages = REPOSITORY / ".tools" / requirement
    if not packages.is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages)]
        if subprocess.run([*command, requirement], check=False).returncode != 0:
            print(f"warning: no {requirement} here, its figures are missing", file=sys.stderr)
            return None
    return packages


def cargo_program(name: str) -> Path | None:
    """A program of crates.io, built at the first run; `None` where that is impossible."""
    root = REPOSITORY / ".tools" / name
    program = root / "bin" / name
    if not program.is_file():
        command = ["cargo", "install", "--quiet", "--locked", "--root", str(root), name]
        if subprocess.run(command, check=False).returncode != 0:
            print(f"warning: no {name} here, its figures are missing", file=sys.stderr)
            return None
    return program


def version_of(*command: str) -> str:
    """First line of what a program says about its version."""
    try:
        return run(command, REPOSITORY, may_fail=True).stdout.splitlines()[0].strip()
    except (OSError, IndexError):
        return "not installed"


def machine() -> str:
    """One line about this machine."""
    text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {models[0] if models else platform.machine()}, {memory:.0f} GiB, "
        f"Linux {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}, "
        f"CPython {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )
