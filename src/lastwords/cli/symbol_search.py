"""`lastwords symbols find`, `missing`, `fetch`: what a dump's modules need."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.cli.render.clean import clean
from lastwords.cli.spools import size_text
from lastwords.cli.symbol_options import (
    DownloadOptions,
    download_options,
    places_of,
    shown_progress,
    symbol_options,
)
from lastwords.cli.symbol_verbs import as_json, echo, strict_option
from lastwords.errors import SymbolsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastwords.symbols import Download, FoundSymbols, WantedModule

__all__ = ["fetch", "find", "missing"]

_no_local = click.option(
    "--no-local-modules",
    is_flag=True,
    help="Do not read the module files that the dump names from this machine.",
)
_module_id = re.compile(r"[0-9A-Fa-f]{8,}")


def _modules_of_dump(
    dump: Path, paths: Sequence[Path], *, local_modules: bool
) -> list[WantedModule]:
    from lastwords.analyze import analyze_dump_json  # noqa: PLC0415
    from lastwords.symbols import modules_of  # noqa: PLC0415

    document = analyze_dump_json(dump, symbols=paths, local_modules=local_modules)
    return list(modules_of(json.loads(document)))


def _module_json(module: WantedModule) -> dict[str, Any]:
    return {
        "code_file": module.code_file,
        "debug_file": module.debug_file,
        "code_id": module.code_id,
        "debug_id": module.debug_id,
        "has_frames": module.has_frames,
    }


_FIND_EPILOG = """\b
Examples:
  lastwords symbols find crash.dmp --symbols ./store
  lastwords symbols find 4c4c44505555314da1ab6e2ad2fcdf74 --symbols ./store --json

Exit status: 0 done, 2 usage, 3 the dump is not readable, 5 something is missing under --strict.
"""


@click.command(epilog=_FIND_EPILOG)
@click.argument("what", metavar="DUMP|MODULE-ID")
@symbol_options
@_no_local
@strict_option
@as_json
def find(  # noqa: PLR0913  (one parameter per option)
    *,
    what: str,
    symbols: tuple[str, ...],
    debuginfod: bool,
    insecure_http: bool,
    no_local_modules: bool,
    strict: bool,
    is_json: bool,
) -> None:
    """Tell where the symbols of each module of a dump are, or of the module with an id.

    Looks into folders, files and what was downloaded before; downloads nothing.
    """
    from lastwords.symbols import find_symbols  # noqa: PLC0415

    places = places_of(symbols, debuginfod=debuginfod, insecure_http=insecure_http)
    local = not no_local_modules
    if Path(what).exists() or not _module_id.fullmatch(what.replace("-", "")):
        modules = _modules_of_dump(Path(what), places.all_paths, local_modules=local)
    else:
        modules = [_module_with_id(what.replace("-", ""))]
    found = find_symbols(modules, places.all_paths, local_modules=local)
    pairs = list(zip(modules, found, strict=True))
    if is_json:
        echo({"modules": [{**_module_json(one), **_found_json(where)} for one, where in pairs]})
    else:
        for module, where in pairs:
            click.echo(_found_line(module, where))
    if strict and any(where.status != "loaded" for where in found):
        sys.exit(5)


def _module_with_id(text: str) -> WantedModule:
    """A module that has only an id: a build id (40 digits and others), else a debug id."""
    from lastwords.symbols import WantedModule  # noqa: PLC0415

    if len(text) in {33, 34, 35, 36, 37, 38, 39, 41}:
        return WantedModule(debug_id=text.upper(), has_frames=True)
    if len(text) < 16:
        return WantedModule(code_id=text, has_frames=True)
    padded = bytes.fromhex(text + "0" * (len(text) % 2))[:16].ljust(16, b"\0")
    guid = padded[3::-1] + padded[5:3:-1] + padded[7:5:-1] + padded[8:]
    return WantedModule(code_id=text.lower(), debug_id=f"{guid.hex().upper()}0", has_frames=True)


def _found_json(found: FoundSymbols) -> dict[str, Any]:
    return {
        "status": found.status,
        "kind": found.kind,
        "path": found.path,
        "reason": found.reason,
        "images": list(found.images),
    }


def _found_line(module: WantedModule, found: FoundSymbols) -> str:
    name = clean(module.code_name or module.debug_name or module.code_id or module.debug_id or "?")
    words = found.kind or found.status
    where = clean(found.path or "")
    reason = f"  ({clean(found.reason)})" if found.reason else ""
    return f"{name:32} {words:13} {where}{reason}".rstrip()


_MISSING_EPILOG = """\b
Examples:
  lastwords symbols missing crash.dmp
  lastwords symbols missing crash.dmp --symbols ./store --json | jq '.modules[].hints'

Exit status: 0 done, 2 usage, 3 the dump is not readable, 5 something is missing under --strict.
"""


@click.command(epilog=_MISSING_EPILOG)
@click.argument("dump", type=click.Path(path_type=Path))
@symbol_options
@_no_local
@strict_option
@as_json
def missing(  # noqa: PLR0913  (one parameter per option)
    *,
    dump: Path,
    symbols: tuple[str, ...],
    debuginfod: bool,
    insecure_http: bool,
    no_local_modules: bool,
    strict: bool,
    is_json: bool,
) -> None:
    """List the modules on the stacks of DUMP that have no lines, and where to get them."""
    from lastwords.symbols import missing_modules  # noqa: PLC0415
    from lastwords.symbols.hints import hints_for  # noqa: PLC0415

    places = places_of(symbols, debuginfod=debuginfod, insecure_http=insecure_http)
    modules = _modules_of_dump(dump, places.all_paths, local_modules=not no_local_modules)
    lacking = [(module, hints_for(module)) for module in missing_modules(modules)]
    if is_json:
        described = [
            {**_module_json(one), "status": one.status, "kind": one.kind, "hints": list(hints)}
            for one, hints in lacking
        ]
        echo({"modules": described})
    elif not lacking:
        click.echo("Every module with frames has functions and lines.", err=True)
    else:
        for module, hints in lacking:
            has = f"only {module.kind}" if module.kind else module.status
            ids = module.build_id or module.debug_id or module.code_id
            click.echo(f"{clean(module.code_file or module.debug_file or '?')}  {has}  {ids}")
            for hint in hints:
                click.echo(f"    {clean(hint)}")
    if strict and lacking:
        sys.exit(5)


_FETCH_EPILOG = """\b
Examples:
  lastwords symbols fetch crash.dmp --symbols https://debuginfod.debian.net
  lastwords symbols fetch crash.dmp --symbols 'srv*./store*https://msdl.microsoft.com/download/symbols'
  lastwords symbols fetch crash.dmp --debuginfod --json

What was downloaded is in ~/.cache/lastwords/downloads, or the CACHE of srv*CACHE*URL.

Exit status: 0 done, 1 a server failed, 2 usage, 3 the dump is not readable, 5 something is missing
under --strict.
"""


@click.command(epilog=_FETCH_EPILOG)
@click.argument("dump", type=click.Path(path_type=Path))
@symbol_options
@download_options
@click.option(
    "--code", is_flag=True, help="Download the modules themselves too, even if not needed."
)
@click.option("--fresh", is_flag=True, help="Ask again for what was not there within the last day.")
@_no_local
@strict_option
@as_json
def fetch(  # noqa: PLR0913  (one parameter per option)
    *,
    dump: Path,
    symbols: tuple[str, ...],
    debuginfod: bool,
    insecure_http: bool,
    max_size_mib: int,
    timeout_s: float,
    parallel: int,
    code: bool,
    fresh: bool,
    no_local_modules: bool,
    strict: bool,
    is_json: bool,
) -> None:
    """Download the symbols that the stacks of DUMP lack, from the servers given."""
    from lastwords.analyze.fetch import lacks_code  # noqa: PLC0415
    from lastwords.symbols import Downloader, missing_modules  # noqa: PLC0415

    places = places_of(symbols, debuginfod=debuginfod, insecure_http=insecure_http)
    if not places.servers:
        raise SymbolsError(
            "symbols_no_servers",
            "no server was given to download from",
            "add --symbols https://…, or --debuginfod",
        )
    options = DownloadOptions(max_size_mib=max_size_mib, timeout_s=timeout_s, parallel=parallel)
    modules = _modules_of_dump(dump, places.all_paths, local_modules=not no_local_modules)
    lacking = list(missing_modules(modules))
    wants_code = [one for one in lacking if code or lacks_code(one)]
    with shown_progress() as progress:
        downloader = Downloader(
            servers=places.servers,
            limits=options.limits(insecure_http=insecure_http),
            parallel=parallel,
            progress=progress,
            is_fresh=fresh,
        )
        downloads = downloader.fetch(lacking, wants_code=wants_code)
    if is_json:
        echo({"downloads": [_download_json(one) for one in downloads]})
    else:
        _print_downloads(downloads)
    if any(one.state == "failed" for one in downloads):
        sys.exit(1)
    if strict and any(one.path is None and one.role == "debug" for one in downloads):
        sys.exit(5)


def _download_json(download: Download) -> dict[str, Any]:
    return {
        **_module_json(download.module),
        "role": download.role,
        "state": download.state,
        "path": None if download.path is None else str(download.path),
        "url": download.url,
        "reason": download.reason,
        "size_bytes": download.size_bytes,
    }


def _print_downloads(downloads: Sequence[Download]) -> None:
    if not downloads:
        click.echo("Every module with frames has functions and lines.", err=True)
    for one in downloads:
        name = clean(one.module.code_name or one.module.debug_name or "?")
        size = f", {size_text(one.size_bytes)}" if one.size_bytes else ""
        rest = f"{one.path}{size}" if one.path else one.reason or ""
        click.echo(f"{name:32} {one.role:5} {one.state:10} {clean(rest)}")
