"""The call of the native core."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lastwords.analyze.decode import decode_analysis
from lastwords.errors import CODES, DumpError, LastwordsError, SettingsError
from lastwords.symbols import SymbolSources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lastwords.report.analysis import Analysis

__all__ = ["analyze_dump", "analyze_dump_json", "core_errors", "core_options"]


def analyze_dump(
    path: str | os.PathLike[str],
    *,
    symbols: Iterable[str | os.PathLike[str]] = (),
    local_modules: bool = True,
    max_frames: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Analysis:
    """Analyse a minidump.

    Args:
        path: The file.
        symbols: Symbol sources, searched in this order; see `lastwords.symbols.SymbolSources`.
        local_modules: Whether module files named in the dump may be read from this machine.
        max_frames: Frames kept of one thread, newest and oldest half each; `None` = 4,096.
        cache_dir: Folder in which answers about symbols are kept for the next analysis, made when
            missing (`lastwords.symbols.default_symbol_cache()`); `None` keeps nothing.

    Returns:
        The analysis. What could not be had is in its `soft_errors`.

    Raises:
        DumpError: The file gives no analysis at all.
        SymbolsError: A symbol source is not there.
    """
    document = analyze_dump_json(
        path,
        symbols=symbols,
        local_modules=local_modules,
        max_frames=max_frames,
        cache_dir=cache_dir,
    )
    return decode_analysis(document)


def analyze_dump_json(
    path: str | os.PathLike[str],
    *,
    symbols: Iterable[str | os.PathLike[str]] = (),
    local_modules: bool = True,
    max_frames: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> bytes:
    """Analyse a minidump; returns the core's document as it is (docs/formats/analysis.md).

    Arguments and errors as for `analyze_dump()`.
    """
    from lastwords import _native as core  # noqa: PLC0415  (decoding needs no core)

    sources = SymbolSources(
        paths=tuple(Path(item) for item in symbols), local_modules=local_modules
    )
    sources.check()
    options = core_options(sources, cache_dir)
    if max_frames is not None:
        options["max_frames"] = max_frames
    with core_errors(path):
        return core.analyze_dump(os.fspath(path), json.dumps(options).encode())


def core_options(
    sources: SymbolSources, cache_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Where symbols are, in the core's names; a cache whose path it cannot be told is none."""
    options: dict[str, Any] = {
        "symbols": [str(item) for item in sources.paths],
        "local_modules": sources.local_modules,
    }
    if cache_dir is not None and _is_text(os.fspath(cache_dir)):
        options["cache_dir"] = os.fspath(cache_dir)
    return options


@contextmanager
def core_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what the core reports of the file `path` as errors of ours."""
    from lastwords import _native as core  # noqa: PLC0415  (decoding needs no core)

    try:
        yield
    except core.CoreError as error:
        _raise_core_error(error)
    except UnicodeEncodeError as error:
        raise DumpError(
            "dump_not_readable",
            f"{os.fspath(path)!r}: the path is not UTF-8 text",
            "rename the file or its folder",
        ) from error


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise_core_error(error: Exception) -> NoReturn:
    """Raise the core's `(code, message, hint)` as the error that the code belongs to."""
    code, message, hint = error.args
    if code not in CODES:
        raise LastwordsError("core_failed", f"{code}: {message}", hint) from error
    if code.startswith("dump_"):
        raise DumpError(code, message, hint) from error
    if code in {"options_invalid", "request_invalid"}:
        raise SettingsError(code, message, hint) from error
    raise LastwordsError(code, message, hint) from error
