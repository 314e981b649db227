"""The forms in which symbol sources are given: folders, symbol paths of Microsoft's, addresses.

| text | what |
|---|---|
| `DIR`, `FILE` | a folder or file: Breakpad trees, symbol stores, `.build-id` trees, files |
| `https://host/path` | a server; a module's file is asked for in every way that fits the module |
| `srv*URL`, `srv*CACHE*URL`, `srv*DIR`, `srv*DIR*DIR` | Microsoft's symbol servers and stores |
| `symsrv*symsrv.dll*CACHE*URL` | the same, written out |
| `cache*DIR` | where the downloads of what follows are kept |
| `A;B;C` | several of these, as in `_NT_SYMBOL_PATH` |
| `_NT_SYMBOL_PATH` | what that environment variable holds |

Source: Microsoft, "Symbol path for Windows debuggers", "Advanced SymSrv use".
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Places", "Protocol", "Server", "default_cache", "parse_places"]

_URL = re.compile(r"https?://", re.IGNORECASE)
_OTHER_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_VARIABLE = "_NT_SYMBOL_PATH"
_SERVER_WORDS = ("srv", "symsrv")


class Protocol(str, Enum):
    """How a server is asked."""

    ANY = "any"
    MICROSOFT = "microsoft"
    DEBUGINFOD = "debuginfod"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An address that symbol files are downloaded from.

    Attributes:
        url: Without a slash at its end.
        protocol: How it is asked.
        cache: Folder that keeps what it gave.
    """

    url: str
    protocol: Protocol
    cache: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where symbols are, in the order given.

    Attributes:
        paths: Folders and files.
        servers: Servers; nothing is asked of them by looking.
    """

    paths: tuple[Path, ...] = ()
    servers: tuple[Server, ...] = ()

    @property
    def all_paths(self) -> tuple[Path, ...]:
        """The paths, and those caches of servers that are there."""
        caches = [server.cache for server in self.servers if server.cache.is_dir()]
        return tuple(dict.fromkeys([*self.paths, *caches]))


def default_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder for downloads: `$XDG_CACHE_HOME/lastwords/downloads`."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "lastwords" / "downloads"


def parse_places(
    texts: Iterable[str | os.PathLike[str]],
    *,
    debuginfod: bool = False,
    insecure_http: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Places:
    """Read the symbol sources of a command line.

    Args:
        texts: As given to `--symbols`, see the table above.
        debuginfod: Whether the servers of `DEBUGINFOD_URLS` are asked, last.
        insecure_http: Whether addresses without TLS may be of other machines.
        environment: Instead of this process's.

    Raises:
        SymbolsError: `symbols_bad_source`, `symbols_insecure_url`, `symbols_not_found`.
    """
    environment = os.environ if environment is None else environment
    reader = _Reader(environment)
    for text in texts:
        reader.read(os.fspath(text))
    if debuginfod:
        reader.read_debuginfod()
    for server in reader.servers:
        _check_url(server.url, insecure_http=insecure_http)
    return Places(
        paths=tuple(dict.fromkeys(reader.paths)), servers=tuple(dict.fromkeys(reader.servers))
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.paths: list[Path] = []
        self.servers: list[Server] = []
        self._environment = environment
        self._cache = default_cache(environment)

    def read(self, text: str) -> None:
        if text == _VARIABLE:
            self._read_variable()
        elif _is_symbol_path(text):
            for item in filter(None, (part.strip() for part in text.split(";"))):
                self._read_item(item)
        else:
            self._read_item(text)

    def _read_variable(self) -> None:
        text = self._environment.get(_VARIABLE, "")
        if not text:
            raise SymbolsError(
                "symbols_bad_source",
                f"the environment has no {_VARIABLE}",
                "set it, or give folders and addresses to --symbols",
            )
        for item in filter(None, (part.strip() for part in text.split(";"))):
            self._read_item(item)

    def _read_item(self, item: str) -> None:
        word, _, rest = item.partition("*")
        if _URL.match(item):
            self._add_server(item, Protocol.ANY, self._cache)
        elif rest and word.lower() == "cache":
            self._cache = Path(rest)
            self.paths.extend([self._cache] if self._cache.is_dir() else [])
        elif rest and word.lower() in _SERVER_WORDS:
            self._read_chain(item, rest, has_library=word.lower() == "symsrv")
        elif _OTHER_URL.match(item) and not Path(item).exists():
            raise SymbolsError(
                "symbols_bad_source",
                f"symbol source {item[:200]!r}: only http:// and https:// are asked",
                "expected something like https://symbols.example.com",
            )
        else:
            self.paths.append(Path(item))

    def _read_chain(self, item: str, rest: str, *, has_library: bool) -> None:
        """`srv*nearest*…*farthest`: each is a cache of what stands behind it."""
        parts = rest.split("*")
        if has_library:
            parts = parts[1:]
        parts = [part for part in parts if part]
        folders = [Path(part) for part in parts if not _URL.match(part)]
        urls = [part for part in parts if _URL.match(part)]
        if not parts or any(_URL.match(part) for part in parts[:-1]):
            raise SymbolsError(
                "symbols_bad_source",
                f"symbol source {item!r}: an address stands last, behind the folders that cache it",
                "expected something like srv*C:\\symbols*https://msdl.microsoft.com/download/symbols",
            )
        for url in urls:
            self._add_server(url, Protocol.MICROSOFT, folders[0] if folders else self._cache)
        # The nearest folder is made by the first download.
        self.paths.extend(folders[1:] if urls else folders)

    def _add_server(self, url: str, protocol: Protocol, cache: Path) -> None:
        self.servers.append(Server(url=url.rstrip("/"), protocol=protocol, cache=cache))

    def read_debuginfod(self) -> None:
        urls = self._environment.get("DEBUGINFOD_URLS", "").split()
        if not urls:
            raise SymbolsError(
                "symbols_bad_source",
                "--debuginfod was given and the environment has no DEBUGINFOD_URLS",
                "export DEBUGINFOD_URLS=https://debuginfod.debian.net, or give --symbols URL",
            )
        for url in urls:
            # `ima:enforcing` and such are policies of elfutils.
            if _URL.match(url):
                self._add_server(url, Protocol.DEBUGINFOD, self._cache)


def _is_symbol_path(text: str) -> bool:
    """Whether text is a list in Microsoft's notation, not a path that happens to hold a `;`."""
    if ";" not in text or Path(text).exists():
        return False
    parts = text.split(";")
    return any(_URL.match(part.strip()) or "*" in part for part in parts) or all(
        Path(part.strip()).exists() for part in parts if part.strip()
    )


def _check_url(url: str, *, insecure_http: bool) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415  (3 ms; folders need it not)

    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.port != 0 and not re.search(r"[\s\x00-\x1f]", url)
    except ValueError:
        is_good = False
        parts = None
    if not is_good or parts is None:
        raise SymbolsError(
            "symbols_bad_source",
            f"symbol source {url[:200]!r} is no address of a server",
            "expected something like https://symbols.example.com",
        )
    if parts.scheme.lower() == "http" and not insecure_http and not is_loopback(parts.hostname):
        raise SymbolsError(
            "symbols_insecure_url",
            f"symbol source {url}: without TLS anybody on the way can change what is downloaded",
            "write https://, or add --insecure-http",
        )


def is_loopback(host: str | None) -> bool:
    """Whether a host of an address is this machine."""
    return host in {"localhost", "::1"} or bool(re.fullmatch(r"127(\.\d+){3}", host or ""))
