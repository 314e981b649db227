"""`lastwords symbols add`, `harvest`, `convert`, `lookup`: files that name functions and lines."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from lastwords.cli.render.clean import clean
from lastwords.cli.symbol_verbs import as_json, echo, strict_option

__all__ = ["add", "convert", "harvest", "lookup"]

_ADD_EPILOG = """\b
Examples:
  lastwords symbols add build/app.debug app.sym --store ./symbols
  lastwords symbols add dist/*.pdb dist/*.exe --store ./symbols --json

Exit status: 0 done, 1 the store cannot be written, 2 usage, 3 a file is not usable.
"""


@click.command(epilog=_ADD_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--store", required=True, type=click.Path(path_type=Path), help="The store's folder.")
@as_json
def add(*, files: tuple[Path, ...], store: Path, is_json: bool) -> None:
    """Put FILES into a store, each where its kind is looked for by its id."""
    from lastwords.symbols.store import add_files  # noqa: PLC0415

    added = add_files(files, store)
    if is_json:
        echo({"files": [one.to_json() for one in added]})
        return
    for one in added:
        for place in one.places:
            click.echo(f"{clean(str(one.source))} -> {clean(str(place))}")


_HARVEST_EPILOG = """\b
Examples:
  lastwords symbols harvest .venv
  lastwords symbols harvest .venv --store ./symbols --json

Exit status: 0 done, 1 the store cannot be written, 2 usage, 3 there is no such environment.
"""


@click.command(epilog=_HARVEST_EPILOG)
@click.argument("venv", type=click.Path(path_type=Path))
@click.option(
    "--store", type=click.Path(path_type=Path), help="Copy what has an id into this store."
)
@as_json
def harvest(*, venv: Path, store: Path | None, is_json: bool) -> None:
    """List the extension modules and bundled libraries of an environment, with their ids.

    By wheel, as its RECORD and its .libs folder tell, and the debug files that lie beside them or
    below /usr/lib/debug. With --store they are kept under their ids, to symbolicate dumps of this
    installation after it is gone.
    """
    from lastwords.symbols.harvest import harvest_environment  # noqa: PLC0415
    from lastwords.symbols.store import add_files  # noqa: PLC0415

    found = harvest_environment(venv)
    if store is not None:
        files = [path for one in found for path in one.files_with_id]
        add_files(files, store)
    if is_json:
        echo({"files": [one.to_json() for one in found]})
        return
    for one in found:
        what = "with lines" if one.has_debug_info else "no lines"
        click.echo(f"{clean(one.wheel):28} {one.id_text:42} {what:10} {clean(str(one.path))}")
    with_lines = sum(one.has_debug_info for one in found)
    click.echo(f"{len(found)} native files, {with_lines} with lines.", err=True)


_CONVERT_EPILOG = """\b
Examples:
  lastwords symbols convert libapp.so.debug -o libapp.so.sym
  lastwords symbols convert app.pdb --store ./symbols
  lastwords symbols convert app.dSYM/Contents/Resources/DWARF/app --json

Exit status: 0 done, 1 the file cannot be written, 2 usage, 3 FILE is not readable.
"""


@click.command(epilog=_CONVERT_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: NAME.sym here.")
@click.option("--store", type=click.Path(path_type=Path), help="Put it into this store instead.")
@click.option("--name", help="Name of the module's debug file.  [default: FILE's]")
@as_json
def convert(
    *, file: Path, output: Path | None, store: Path | None, name: str | None, is_json: bool
) -> None:
    """Write what an ELF, PE, PDB or Mach-O FILE says as a Breakpad .sym file.

    With inlined calls (INLINE) and rules for unwinding (STACK CFI, STACK WIN).
    """
    from lastwords.symbols import write_sym  # noqa: PLC0415

    if output is not None and store is not None:
        raise click.UsageError("--output and --store exclude each other")
    folder = Path() if store is None and output is None else (output or store or Path()).parent
    if store is not None:
        store.mkdir(parents=True, exist_ok=True)
        folder = store
    with tempfile.TemporaryDirectory(prefix=".lastwords-sym-", dir=folder) as scratch:
        written = Path(scratch, "written.sym")
        report = write_sym(file, written, name)
        stem = re.sub(r"(?i)\.pdb$", "", report["name"])
        place = output or Path(f"{stem}.sym")
        if store is not None:
            place = store / report["name"] / report["debug_id"] / f"{stem}.sym"
            place.parent.mkdir(parents=True, exist_ok=True)
        written.replace(place)
    if is_json:
        echo({"file": str(place), **report})
        return
    click.echo(str(place))
    counts = ", ".join(
        f"{report[key]:,} {key}" for key in ("functions", "lines", "inlines", "frames")
    )
    click.echo(f"{report['os']} {report['cpu']} {report['debug_id']}: {counts}", err=True)
    if report["frames_left_out"] or report["is_cut"]:
        cut = "; more functions than fit were left out" if report["is_cut"] else ""
        click.echo(f"{report['frames_left_out']} frame rules left out{cut}", err=True)


_LOOKUP_EPILOG = """\b
Examples:
  lastwords symbols lookup libapp.so 0x1139 0x1150
  lastwords symbols lookup app.exe 0x140001000 --json
  lastwords symbols lookup app.pdb --relative 0x1000

Exit status: 0 done, 2 usage, 3 FILE is not readable, 5 an address has no function under --strict.
"""


@click.command(epilog=_LOOKUP_EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("addresses", nargs=-1, required=True, metavar="ADDR...")
@click.option("--relative", is_flag=True, help="Addresses count from the image's base.")
@strict_option
@as_json
def lookup(
    *, file: Path, addresses: tuple[str, ...], relative: bool, strict: bool, is_json: bool
) -> None:
    """Tell function, file and line of addresses of an ELF, PE, PDB, Mach-O or .sym FILE.

    Addresses are hexadecimal, as the file itself counts them: from the base that it prefers.
    """
    from lastwords.symbols import look_up  # noqa: PLC0415

    found = look_up(file, [_address(text) for text in addresses], relative=relative)
    if is_json:
        echo(found)
    else:
        for one in found["lookups"]:
            _print_lookup(one)
    if strict and any(not one["frames"] for one in found["lookups"]):
        sys.exit(5)


def _address(text: str) -> int:
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise click.BadParameter(f"{text!r} is no address, expected something like 0x1139")
    return value


def _print_lookup(found: dict[str, Any]) -> None:
    click.echo(f"{found['address']:#x}")
    if not found["frames"]:
        click.echo("  ?")
    for frame in found["frames"]:
        place = ""
        if frame["file"]:
            line = "" if frame["line"] is None else f":{frame['line']}"
            place = f"  {clean(frame['file'])}{line}"
        inlined = "  (inlined)" if frame["is_inline"] else ""
        offset = ""
        if not frame["is_inline"] and found["function_start"] is not None:
            offset = f"+{found['address'] - found['function_start']:#x}"
        click.echo(f"  {clean(frame['function'] or '?')}{offset}{place}{inlined}")
