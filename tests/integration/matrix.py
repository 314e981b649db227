"""Dies every death of the fault matrix once, two at a time, and analyses what it left."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dying import PROGRAMS, Home, for_any_interpreter
from foreign import build_ids
from ways import KINDS, WAYS

from lastwords import _native

__all__ = ["VERSIONS", "Case", "Death", "Matrix", "deaths", "interpreter"]

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
SOURCE = Path(_native.__file__ or "").parents[1]
"""What must be on the path of a victim: the folder that holds the package."""
AT_ONCE = 2
DEADLINE_S = 60
ASKED = "import sys, ctypes; print(sys.implementation.name, sys.version)"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Death:
    """One cell of the matrix."""

    version: str
    way: str
    kind: str

    def __str__(self) -> str:
        return f"{self.version}-{self.way}-{self.kind}"


def deaths() -> list[Death]:
    """Every way in every kind of thread on this interpreter; on each other one every way once.

    Which kind of thread that is goes round from way to way and from version to version, so that
    every pair of (way, kind), (way, version) and (kind, version) is there. More would tell little:
    what a way does depends on the processor and the C library, how Python frames are read depends
    on the version.
    """
    found = []
    for index, way in enumerate(WAYS.values()):
        kinds = [kind for kind in KINDS if kind in way.kinds]
        found += [Death(version=OWN, way=way.name, kind=kind) for kind in kinds]
        for shift, version in enumerate(version for version in VERSIONS if version != OWN):
            kind = kinds[(index + shift) % len(kinds)]
            found.append(Death(version=version, way=way.name, kind=kind))
    return found


@functools.cache
def interpreter(version: str) -> str | None:
    """Path of a CPython of that version: this one, one of PATH, one of pyenv; or `None`."""
    if version == OWN:
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", Path("~/.pyenv").expanduser()))
    places = [
        shutil.which(f"python{version}"),
        *sorted(root.glob(f"versions/{version}.*/bin/python")),
    ]
    for place in filter(None, places):
        told = subprocess.run(
            [place, "-I", "-S", "-c", ASKED],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        if told.returncode == 0 and told.stdout.startswith(f"cpython {version}."):
            return str(place)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death, what the process knew before, and what was made of it."""

    returncode: int
    stderr: str
    facts: dict[str, Any]
    report: dict[str, Any]
    dump: Path
    analysis: dict[str, Any]
    modules: dict[str, tuple[int, str]]
    """Path → (base, build id) of the ELF files that were mapped."""


class Matrix:
    """Dies the deaths of a session in the order of its tests; each is waited for by need."""

    def __init__(self, folder: Path, faults: Path, faults_cpp: Path) -> None:
        self._folder = folder
        self._environment = for_any_interpreter() | {
            "LASTWORDS_FAULTS": str(faults),
            "TEST_FAULTS_CPP": str(faults_cpp),
        }
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._cases: dict[Death, Future[Case]] = {}

    def start(self, death: Death) -> None:
        if death not in self._cases:
            self._cases[death] = self._pool.submit(self._die, death)

    def case(self, death: Death) -> Case:
        self.start(death)
        return self._cases[death].result(timeout=600)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _die(self, death: Death) -> Case:
        folder = self._folder / str(death)
        folder.mkdir()
        home = Home(folder=folder)
        python = interpreter(death.version)
        assert python is not None
        options = (
            ["-I", "-S", "-X", "frozen_modules=on"] if death.version != "3.10" else ["-I", "-S"]
        )
        program = PROGRAMS / "die_matrix.py"
        done = subprocess.run(
            [python, *options, program, death.way, death.kind, folder, SOURCE, PROGRAMS],
            cwd=folder, env=home.environment(**self._environment), capture_output=True, text=True,
            errors="replace", timeout=DEADLINE_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        report = home.report() if home.reports() else None
        assert report, f"no report; it ended with {done.returncode}; {done.stdout}{done.stderr}"
        return Case(
            returncode=done.returncode,
            stderr=done.stderr,
            facts=json.loads((folder / "facts.json").read_text("utf-8")),
            report=report.document,
            dump=report.dump,
            analysis=json.loads(_native.analyze_dump(str(report.dump), b"{}")),
            modules=_modules((folder / "maps").read_text("utf-8")),
        )


_known: dict[str, str | None] = {}


def _modules(maps: str) -> dict[str, tuple[int, str]]:
    """As `build_ids`, asking `readelf` once for each file of the session."""
    lines = [line for line in maps.splitlines() if line.count(" /")]
    paths = {line.split(maxsplit=5)[5] for line in lines}
    new = [line for line in lines if line.split(maxsplit=5)[5] not in _known]
    told = build_ids("\n".join(new))
    _known.update({path: told[path][1] if path in told else None for path in paths - set(_known)})
    bases: dict[str, int] = {}
    for line in lines:
        path, start = line.split(maxsplit=5)[5], int(line.partition("-")[0], 16)
        bases[path] = min(start, bases.get(path, start))
    return {path: (base, known) for path, base in bases.items() if (known := _known[path])}
