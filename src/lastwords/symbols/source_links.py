r"""Where the sources of a Windows module can be had from, as its PDB says.

| what | form |
|---|---|
| Source Link (dotnet/designs) | JSON: `{"documents": {"C:\\src\\*": "https://host/commit/*"}}` |
| source server (Microsoft, SrcSrv) | `SRCSRV: ini`, variables, then `file*var2*var3…` |

A source server may name a command that fetches a file. No command is run: only addresses count.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["SourceLinks"]

_MAX_DEPTH = 16
_MAX_URL_CHARS = 4096
_MAX_DOCUMENTS = 100_000
_VARIABLE = re.compile(r"%(\w+)%(?:\(([^()]*)\))?")
_URL = re.compile(r"https?://", re.IGNORECASE)
_NUMBERED = 10


class SourceLinks:
    """Answers at which address a source file of one module is.

    Args:
        links: Texts of Source Link.
        servers: Texts of source servers.
    """

    def __init__(self, links: Iterable[str] = (), servers: Iterable[str] = ()) -> None:
        self._exact: dict[str, str] = {}
        self._prefixes: list[tuple[str, str]] = []
        self._servers = [_SourceServer(text) for text in servers]
        for text in links:
            self._read_link(text)
        self._prefixes.sort(key=lambda one: -len(one[0]))

    def url_of(self, file: str) -> str | None:
        """The address of a file, named as the debug information names it."""
        name = _key(file)
        found = self._exact.get(name) or next(
            (
                url.replace("*", quote(file.replace("\\", "/")[len(prefix) :]), 1)
                for prefix, url in self._prefixes
                if name.startswith(prefix)
            ),
            None,
        )
        found = found or next(filter(None, (server.url_of(file) for server in self._servers)), None)
        is_url = found and _URL.match(found) and len(found) <= _MAX_URL_CHARS
        return found if is_url else None

    def _read_link(self, text: str) -> None:
        try:
            documents = json.loads(text.rstrip("\0").lstrip("\ufeff"))["documents"]
            pairs = list(documents.items())[:_MAX_DOCUMENTS]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        for pattern, url in pairs:
            if not isinstance(url, str):
                continue
            if pattern.endswith("*") and pattern.count("*") == 1 and url.count("*") <= 1:
                self._prefixes.append((_key(pattern[:-1]), url))
            elif "*" not in pattern:
                self._exact[_key(pattern)] = url


class _SourceServer:
    """One text of a source server."""

    def __init__(self, text: str) -> None:
        self._variables: dict[str, str] = {}
        self._files: dict[str, list[str]] = {}
        section = ""
        for line in text.splitlines():
            if line.startswith("SRCSRV: "):
                section = line[len("SRCSRV: ") :].strip(" -").lower()
            elif section in {"ini", "variables"}:
                name, _, value = line.partition("=")
                self._variables[name.strip().lower()] = value.strip()
            elif section == "source files" and "*" in line:
                parts = line.rstrip().split("*")
                self._files.setdefault(_key(parts[0]), parts[:_NUMBERED])

    def url_of(self, file: str) -> str | None:
        parts = self._files.get(_key(file))
        if parts is None:
            return None
        numbered = {f"var{number}": part for number, part in enumerate(parts, 1)}
        # The target's folder on the asking machine; addresses do not use it.
        variables = {"targ": "", **self._variables, **numbered}
        return _expanded("%srcsrvtrg%", variables, _MAX_DEPTH)


def _expanded(text: str, variables: Mapping[str, str], depth: int) -> str | None:
    """Replace variables and functions; `None` for what is not known, or goes too deep."""
    if depth == 0 or len(text) > _MAX_URL_CHARS:
        return None
    missing = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal missing
        name, argument = found[1].lower(), found[2]
        function = _FUNCTIONS.get(name)
        if function is not None and argument is not None:
            value = _expanded(argument, variables, depth - 1)
            value = None if value is None else function(value, variables)
        else:
            value = variables.get(name)
            value = None if value is None else _expanded(value, variables, depth - 1)
            tail = "" if argument is None else f"({argument})"
            value = None if value is None else value + tail
        missing = missing or value is None
        return value or ""

    result = _VARIABLE.sub(replaced, text)
    return None if missing else result


_FUNCTIONS: dict[str, Callable[[str, Mapping[str, str]], str | None]] = {
    "fnvar": lambda name, variables: variables.get(name.lower()),
    "fnbksl": lambda path, _: path.replace("/", "\\"),
    "fnfile": lambda path, _: re.split(r"[/\\]", path)[-1],
}


def _key(path: str) -> str:
    return path.replace("\\", "/").lower()
