"""An open dump that is asked many times; what a debugger stands on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lastwords.analyze.dump import core_errors, core_options
from lastwords.symbols import SymbolSources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["DumpSession"]


class DumpSession:
    """A dump that is open in the core.

    Args:
        path: The file.
        symbols: Symbol sources, searched in this order. One that is not there finds nothing.
        local_modules: Whether module files named in the dump may be read from this machine.
        cache_dir: Folder in which answers about symbols are kept, as in `analyze_dump_json`.

    Raises:
        DumpError: The file gives no analysis at all.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        symbols: Sequence[Path] = (),
        local_modules: bool = True,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        from lastwords import _native as core  # noqa: PLC0415  (decoding needs no core)

        sources = SymbolSources(paths=tuple(symbols), local_modules=local_modules)
        options = core_options(sources, cache_dir)
        self.core_version = core.core_version()
        self._path = path
        with core_errors(path):
            self._session = core.Session(os.fspath(path), json.dumps(options).encode())

    def ask(self, request: str, **fields: object) -> Any:  # noqa: ANN401  (JSON of any shape)
        """Ask one thing; the requests are in crates/analyze/src/session/request.rs.

        Raises:
            SettingsError: `request_invalid`.
            LastwordsError: `core_failed`, a defect.
        """
        body = json.dumps({"ask": request, **fields}).encode()
        with core_errors(self._path):
            return json.loads(self._session.ask(body))
