"""The interpreters of this machine that the oracle can ask."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Interpreter", "interpreters"]

VERSIONS = tuple(f"3.{minor}" for minor in range(9, 15))
DEADLINE_S = 60
_ASKED = """
import json, os, sys, sysconfig
lines = open("/proc/self/maps").read().splitlines()
files = {line.split(maxsplit=5)[5] for line in lines if line.count("/") and "libpython3" in line}
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": sys.version.split()[0],
    "numbers": sys.version_info[:2],
    "include": sysconfig.get_path("include"),
    "executable": os.path.realpath(sys.executable),
    "core": min(files, default=os.path.realpath("/proc/self/exe")),
    "has_trampoline": bool(sysconfig.get_config_var("PY_HAVE_PERF_TRAMPOLINE")),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A CPython of this machine."""

    program: Path
    version: str
    numbers: tuple[int, int]
    include: Path
    core: Path
    """The file that holds the interpreter's code: libpython, or the executable."""
    has_debug_info: bool
    has_trampoline: bool

    @property
    def name(self) -> str:
        """How it is called in reports: its version, and what is odd about it."""
        return self.version if self.has_debug_info else f"{self.version}-stripped"

    @property
    def has_headers(self) -> bool:
        return (self.include / "Python.h").is_file()


@functools.cache
def interpreters() -> tuple[Interpreter, ...]:
    """All that can be found: of pyenv, of PATH and of the system, oldest first."""
    found: dict[Path, Interpreter] = {}
    for place in _places():
        interpreter = _ask(place)
        if interpreter and interpreter.has_headers:
            found.setdefault(place.resolve(), interpreter)
    return tuple(sorted(found.values(), key=lambda one: (one.numbers, one.name)))


def _places() -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path("~/.pyenv").expanduser()))
    places = []
    for version in VERSIONS:
        places += sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
        on_path = shutil.which(f"python{version}")
        if on_path and "shims" not in on_path:
            places.append(Path(on_path))
        places.append(Path(f"/usr/bin/python{version}"))
    return [place for place in places if os.access(place, os.X_OK)]


def _ask(program: Path) -> Interpreter | None:
    done = subprocess.run(
        [program, "-I", "-S", "-c", _ASKED],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    if told.get("implementation") != "cpython" or told["free_threaded"]:
        return None
    major, minor = told["numbers"]
    return Interpreter(
        program=program,
        version=told["version"],
        numbers=(major, minor),
        include=Path(told["include"]),
        core=Path(told["core"]),
        has_debug_info=_has_section(Path(told["core"]), ".debug_info"),
        has_trampoline=told["has_trampoline"],
    )


def _has_section(file: Path, name: str) -> bool:
    done = subprocess.run(
        ["readelf", "--section-headers", "--wide", file],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    return bool(re.search(rf" {re.escape(name)} ", done.stdout))
