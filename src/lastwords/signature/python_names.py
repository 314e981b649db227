"""Dotted names of Python modules, from file names that differ between machines.

A code object knows its file and its qualified name, not its module. The package root is found
from, in this order: the folders that installations use (`site-packages`), the standard library's
folder, the folder of the running script (its `<module>` frame is the outermost of some thread), a
`src` folder. Without any of them the parent folder is taken for the package, unless it is
somebody's home or a temporary folder: user names and random names never get into a signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

__all__ = ["PathRoots", "is_stdlib", "python_function", "python_module"]

_INSTALLED = re.compile(r"^.*/(?:site-packages|dist-packages)/")
_ARCHIVE = re.compile(r"^.*\.(?:egg|zip|whl|pyz)/")
_STDLIB = re.compile(
    r"^.*/(?:lib(?:64)?/python3(?:\.\d+)?t?|python3\d*/lib)/(?:lib-dynload/)?", re.IGNORECASE
)
_SRC = re.compile(r"^.*/src/")
_RUNPY = re.compile(r"(?:^<frozen runpy>$|/runpy\.py$)")
_PRIVATE_PARENT = re.compile(
    r"(?:^|/)(?:home|users)/[^/]+/[^/]+$|^/?root/[^/]+$|/tmp[a-z0-9_]{8}/[^/]+$", re.IGNORECASE
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
_NOT_A_PACKAGE = frozenset(
    (
        "src",
        "lib",
        "bin",
        "scripts",
        "tmp",
        "temp",
        "var",
        "opt",
        "srv",
        "usr",
        "app",
        "build",
        "mnt",
        "code",
    )
)
_COMPREHENSIONS = re.compile(r"\.<(?:listcomp|dictcomp|setcomp)>")
_PYTHON_SUFFIX = re.compile(r"\.py[cow]?$")


@dataclass(frozen=True, slots=True)
class PathRoots:
    """Folders that are on the import path of the process, as far as its stacks tell.

    Args:
        scripts: Folders with a trailing slash, longest first.
    """

    scripts: tuple[str, ...] = ()

    @staticmethod
    def from_stacks(stacks: Iterable[Sequence[tuple[str | None, str | None]]]) -> PathRoots:
        """Find the running script in stacks of (qualified name, file), innermost first."""
        roots: set[str] = set()
        for stack in stacks:
            root = _script_root(stack)
            if root:
                roots.add(root)
        return PathRoots(tuple(sorted(roots, key=lambda root: (-len(root), root))))

    def relative(self, path: str) -> str | None:
        """Return the part of `path` that names the module; `None` if no root fits."""
        for pattern in (_INSTALLED, _ARCHIVE, _STDLIB):
            match = pattern.match(path)
            if match:
                return path[match.end() :]
        for root in self.scripts:
            if path.startswith(root):
                return path[len(root) :]
        match = _SRC.match(path)
        return path[match.end() :] if match else None

    def package_of(self, path: str) -> str | None:
        """Return the dotted package that holds the file; `None` for a top-level module."""
        folder = path.replace("\\", "/").rpartition("/")[0]
        if not folder:
            return None
        return _dotted(_relative_or_parent(f"{folder}/__init__.py", self)) or None


def python_module(module: str | None, file: str | None, roots: PathRoots) -> str | None:
    """Return the dotted module of a Python frame.

    Args:
        module: The module's `__name__` when the report knows it; `__main__` says nothing.
        file: The code object's file name.
        roots: From the stacks of the same report.

    `None` when neither is known. `<string>` and the like are returned as they are.
    """
    if module and module != "__main__":
        return module
    if not file:
        return None
    path = file.replace("\\", "/")
    if path.startswith("<frozen "):
        return path[len("<frozen ") :].rstrip(">")
    if path.startswith("<"):
        return "<string>" if path == "<string>" else "<generated>"
    return _dotted(_relative_or_parent(path, roots)) or None


def python_function(qualname: str | None) -> str | None:
    """Return a qualified name without what differs between Python versions.

    Comprehensions are frames of their own up to Python 3.11 and none from 3.12 on (PEP 709).
    """
    if not qualname:
        return None
    name = _COMPREHENSIONS.sub("", qualname.replace(".<locals>", ""))
    return name if name not in {"<listcomp>", "<dictcomp>", "<setcomp>"} else "<module>"


def is_stdlib(file: str | None) -> bool:
    """Tell whether a file belongs to Python's standard library."""
    if not file:
        return False
    path = file.replace("\\", "/")
    if path.startswith("<frozen "):
        return True
    return bool(_STDLIB.match(path)) and not _INSTALLED.match(path)


def _script_root(stack: Sequence[tuple[str | None, str | None]]) -> str | None:
    """Return the folder that the interpreter put first on `sys.path` for this stack's script."""
    has_runpy = False
    for function, file in reversed(stack):
        path = (file or "").replace("\\", "/")
        if _RUNPY.search(path):
            has_runpy = True
            continue
        if function != "<module>" or path.startswith("<") or "/" not in path:
            return None
        folder = path.rpartition("/")[0]
        if not has_runpy:
            return f"{folder}/"
        if path.endswith("/__main__.py") and "/" in folder:
            return f"{folder.rpartition('/')[0]}/"
        return None
    return None


def _relative_or_parent(path: str, roots: PathRoots) -> str:
    relative = roots.relative(path)
    if relative is not None:
        return relative
    if not path.startswith("/") and ":" not in path[:3]:
        return path.removeprefix("./")
    folder, _, name = path.rpartition("/")
    if _PRIVATE_PARENT.search(path):
        return name
    parent = folder.rpartition("/")[2]
    return name if parent.lower() in _NOT_A_PACKAGE else f"{parent}/{name}"


def _dotted(relative: str) -> str:
    """Turn `pkg/mod.py` into `pkg.mod`; folders that cannot be packages are dropped."""
    parts = [part for part in _PYTHON_SUFFIX.sub("", relative).split("/") if part]
    if parts and parts[-1] == "__init__":
        parts.pop()
    for index in range(len(parts) - 2, -1, -1):
        if not parts[index].isidentifier():
            parts = parts[index + 1 :]
            break
    return ".".join(parts)
