"""Builds the native steps (`programs/steps.*`) for an interpreter, once, into a cache."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from steps import COPIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from interpreters import Interpreter

__all__ = ["Built", "build", "greenlet_folder", "stripped_library"]

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
DEADLINE_S = 300
GREENLET = "greenlet<4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What the scripts of an interpreter can use."""

    extensions: dict[str, Path]
    """Name in the scripts → file of the extension module."""
    rust: Path | None = None
    has: frozenset[str] = field(default_factory=frozenset)
    path: tuple[Path, ...] = ()
    """Folders in which further packages are."""


def build(interpreter: Interpreter, *, has_debug_info: bool = True, is_odd: bool = False) -> Built:
    """Build all steps that this machine has the tools for; the odd ones only if asked."""
    flags = ("-g" if has_debug_info else "-g0", "-O2")
    include = f"-I{interpreter.include}"
    parts = {"steps": _c(include, flags)}
    if is_odd:
        parts["odd"] = _odd(include, flags)
    if bound := _pybind11(include, flags):
        parts["bound"] = bound
    if made := _cython(include, flags):
        parts["made"] = made
    rust = _rust(flags[0])
    names = {"bound": "pybind11", "made": "cython", "odd": "odd"}
    has = {"asyncio", "ctypes", *(names[name] for name in parts if name in names)}
    has |= {"rust"} if rust else set()
    greenlets = greenlet_folder(interpreter)
    if greenlets:
        has.add("greenlet")
    path = (greenlets,) if greenlets else ()
    return Built(extensions=parts, rust=rust, has=frozenset(has), path=path)


def stripped_library(interpreter: Interpreter, option: str) -> Path:
    """A copy of the interpreter's library from which strip(1) took what `option` says."""
    return compile_into_cache(
        interpreter.core.name, ["strip", option, interpreter.core], [interpreter.core]
    )


def compile_into_cache(
    name: str, command: Sequence[object], inputs: Sequence[Path], *, cwd: Path | None = None
) -> Path:
    """Run a compiler, unless it has made `name` of the same files by the same command before.

    Args:
        name: Of the file that is made.
        command: What makes it, without `-o`.
        inputs: Files that it is made of.
        cwd: Where the compiler runs.
    """
    digest = hashlib.sha256(repr([str(word) for word in command]).encode())
    for file in inputs:
        digest.update(file.read_bytes())
    folder = _cache() / digest.hexdigest()[:16]
    target = folder / name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary) / name
        done = subprocess.run(
            [str(word) for word in [*command, "-o", made]],
            cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        made.rename(target)
    return target


def _cache() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return Path(os.environ.get("LASTWORDS_ORACLE_CACHE", target / "oracle")).resolve()


def _c(include: str, flags: Sequence[str]) -> Path:
    sources = [PROGRAMS / "steps.c", PROGRAMS / "leaves.S"]
    command = ["cc", *flags, "-fPIC", "-shared", "-pthread", include, *sources]
    return compile_into_cache("oracle_steps.so", command, [*sources, PROGRAMS / "stops.h"])


def _odd(include: str, flags: Sequence[str]) -> Path:
    bare = _object("bare", ["-g0", "-O2"])
    debug_frame = _object("debugframe", ["-g", "-O2"])
    sources = [PROGRAMS / "odd.c", PROGRAMS / "odd.S", bare, debug_frame]
    options = ["-fPIC", "-shared", "-pthread", "-Wl,-z,lazy", "-fcf-protection=none"]
    command = ["cc", *flags, *options, include, *sources]
    return compile_into_cache("oracle_odd.so", command, [*sources, PROGRAMS / "stops.h"])


def _object(name: str, flags: Sequence[str]) -> Path:
    """`bare.c` without tables for unwinding, its functions called `oracle_NAME_NN`."""
    source = PROGRAMS / "bare.c"
    untold = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fomit-frame-pointer"]
    command = ["cc", *flags, *untold, "-fPIC", "-c", f"-DNAME={name}", source]
    return compile_into_cache(f"{name}.o", command, [source])


def _pybind11(include: str, flags: Sequence[str]) -> Path | None:
    package = _package("pybind11")
    if not package:
        return None
    source = PROGRAMS / "steps.cpp"
    options = ["-std=c++17", "-fPIC", "-shared", "-fvisibility=hidden", "-w"]
    command = ["c++", *flags, *options, include, f"-I{package / 'include'}", source]
    return compile_into_cache("oracle_pybind11.so", command, [source])


def _cython(include: str, flags: Sequence[str]) -> Path | None:
    if not _package("Cython"):
        return None
    template = (PROGRAMS / "steps.pyx").read_text("utf-8")
    copies = [template.replace("NN", f"{copy:02}") for copy in range(COPIES["cython"])]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "made_by_cython.pyx"
        text.write_text("\n".join(copies), "utf-8")
        translate = [sys.executable, "-m", "cython", "-3", text.name]
        source = compile_into_cache("made_by_cython.c", translate, [text], cwd=text.parent)
    command = ["cc", *flags, "-fPIC", "-shared", "-w", include, source]
    return compile_into_cache("made_by_cython.so", command, [source])


def _rust(debug_info: str) -> Path | None:
    compiler = shutil.which("rustc")
    if not compiler:
        return None
    source = PROGRAMS / "steps.rs"
    options = ["--edition=2024", "--crate-type=cdylib", "-O", "--crate-name=oracle_rust"]
    options += [f"-Cdebuginfo={2 if debug_info == '-g' else 0}"]
    return compile_into_cache("liboracle_rust.so", [compiler, *options, source], [source])


@functools.cache
@functools.cache
def greenlet_folder(interpreter: Interpreter) -> Path | None:
    """The folder of the greenlet package for that interpreter, installed once; a wheel, or none."""
    folder = _cache() / f"greenlet-{interpreter.numbers[0]}.{interpreter.numbers[1]}"
    if not folder.is_dir():
        _cache().mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix="greenlet-", dir=_cache()))
        done = subprocess.run(
            [
                interpreter.program, "-m", "pip", "install", "--quiet", "--no-deps",
                "--disable-pip-version-check", "--only-binary", ":all:", "--target", new, GREENLET,
            ],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        if done.returncode:
            print(f"no {GREENLET} for {interpreter.name}: {done.stderr.strip()}", file=sys.stderr)
            shutil.rmtree(new)
            return None
        new.rename(folder)
    return folder


def _package(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None
