"""Where a session looks for symbols: folders, and servers that are asked when the user says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastwords.symbols.places import Places, parse_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lastwords.symbols.download import Download
    from lastwords.symbols.wanted import WantedModule

    Fetch = Callable[[Places, Sequence[WantedModule]], Sequence[Download]]

__all__ = ["SymbolPath"]


@dataclass(slots=True, kw_only=True)
class SymbolPath:
    """A symbol path with `;` between its places, in the forms of `lastwords.symbols.places`.

    Attributes:
        text: As the user wrote it.
        local_modules: Whether module files named in the dump may be read from this machine.
        fetch: Downloads files of modules; nothing is downloaded when `None`.
        asks_servers: Whether the user has asked for the servers of the path.
        insecure_http: Whether addresses without TLS may be of other machines.
        places: What the text says.

    Raises:
        SymbolsError: A place is in no known form.
    """

    text: str = ""
    local_modules: bool = True
    fetch: Fetch | None = None
    asks_servers: bool = False
    insecure_http: bool = False
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.places = self._read(self.text)

    def change(self, text: str) -> None:
        """Take another path; its servers may be asked from now on.

        Raises:
            SymbolsError: A place is in no known form; the path is as before.
        """
        self.places = self._read(text)
        self.text = text
        self.asks_servers = True

    def notes(self) -> Iterable[str]:
        """What is not used, and why."""
        for one in self.places.paths:
            if not one.exists():
                yield f"*** {one}: there is no such file or folder"
        for server in self.places.servers:
            if not self.asks_servers:
                yield f"*** {server.url}: not asked; to download from it: .sympath _NT_SYMBOL_PATH"

    def _read(self, text: str) -> Places:
        parts = filter(None, (part.strip() for part in text.split(";")))
        return parse_places(parts, insecure_http=self.insecure_http)
