"""`lastwords debug`: cdb's command language on a dump, in a prompt or a script."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lastwords.analyze import DumpSession
from lastwords.cli.symbol_options import DownloadOptions, cache_options, shown_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lastwords.debug import Debugger
    from lastwords.symbols.download import Download
    from lastwords.symbols.places import Places
    from lastwords.symbols.wanted import WantedModule

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords debug -z crash.dmp
  lastwords debug -z crash.dmp -y build/symbols -c ".ecxr;k;q"
  lastwords debug -z crash.dmp -c "$><triage.txt;q" > triage.log
  echo "!analyze -v" | lastwords debug -z crash.dmp

In the prompt, .help lists the commands. Exit status: 0 done, 2 usage, 3 the file is not readable.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "-z", "file", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The dump."
)
@click.option(
    "-y",
    "symbol_path",
    envvar="_NT_SYMBOL_PATH",
    default="",
    metavar="PATH",
    help="Symbol path: files, folders, addresses of servers and srv*FOLDER*URL, with ; between. "
    "What servers have of the modules on the stack is downloaded. Default: what of _NT_SYMBOL_PATH "
    "is on this machine; -y _NT_SYMBOL_PATH asks its servers too.",
)
@click.option(
    "--insecure-http",
    is_flag=True,
    help="Allow http:// addresses of other machines; anybody on the way can change files.",
)
@click.option(
    "-srcpath",
    "--srcpath",
    "source_path",
    envvar="_NT_SOURCE_PATH",
    default="",
    metavar="PATH",
    help="Source path: folders with ; between; srv* downloads files from the addresses in PDBs "
    "(Source Link, source servers). Default: _NT_SOURCE_PATH.",
)
@click.option("-c", "commands", default="", metavar='"CMD;CMD"', help="Run these commands first.")
@click.option(
    "-lines",
    "--lines/--no-lines",
    "are_lines_shown",
    default=True,
    help="Show source files and lines in stacks.",
)
@click.option(
    "--no-local-modules",
    is_flag=True,
    help="Do not read the module files that the dump names from this machine.",
)
@cache_options
@click.pass_context
def command(  # noqa: PLR0913  (one parameter per option)
    context: click.Context,
    *,
    file: Path,
    symbol_path: str,
    source_path: str,
    commands: str,
    are_lines_shown: bool,
    no_local_modules: bool,
    insecure_http: bool,
    cache_dir: Path | None,
) -> None:
    """Open the minidump FILE and take commands in cdb's language.

    Dumps of Windows, Linux and macOS, of x86, x64 and ARM64. The commands come from -c, then from
    stdin: a prompt with history and completion on a terminal, a script otherwise.
    """
    from lastwords.debug import Debugger  # noqa: PLC0415  (help needs no commands)
    from lastwords.debug.banner import banner_lines  # noqa: PLC0415
    from lastwords.debug.downloads import download  # noqa: PLC0415
    from lastwords.debug.symbol_path import SymbolPath  # noqa: PLC0415

    is_given = context.get_parameter_source("symbol_path") == ParameterSource.COMMANDLINE
    symbols = SymbolPath(
        text=symbol_path,
        local_modules=not no_local_modules,
        fetch=functools.partial(_fetch, insecure_http=insecure_http),
        asks_servers=is_given,
        insecure_http=insecure_http,
    )
    session = DumpSession(
        file,
        symbols=symbols.places.all_paths,
        local_modules=symbols.local_modules,
        cache_dir=cache_dir,
    )
    debugger = Debugger(session, _write, symbols=symbols, source_path=source_path)
    debugger.are_lines_shown = are_lines_shown
    for line in download(debugger):
        click.echo(line, err=True)
    for line in banner_lines(debugger):
        debugger.emit(line)
    if commands:
        debugger.emit(f"{debugger.prompt}cdb: Reading initial command '{commands}'")
        debugger.run(commands)
    if not debugger.is_ended:
        _serve(debugger)


def _write(line: str) -> None:
    click.echo(line)


def _fetch(
    places: Places, modules: Sequence[WantedModule], *, insecure_http: bool
) -> Sequence[Download]:
    """Download with bars on a terminal."""
    from lastwords.analyze.fetch import lacks_code  # noqa: PLC0415  (urllib)
    from lastwords.symbols.download import Downloader  # noqa: PLC0415

    options = DownloadOptions()
    with shown_progress() as progress:
        downloader = Downloader(
            servers=places.servers,
            limits=options.limits(insecure_http=insecure_http),
            parallel=options.parallel,
            progress=progress,
        )
        return downloader.fetch(modules, wants_code=[one for one in modules if lacks_code(one)])


def _serve(debugger: Debugger) -> None:
    """Take commands until `q` or the end of stdin."""
    read = _terminal_reader(debugger) if sys.stdin.isatty() else None
    if read is None:
        _run_stdin(debugger)
        return
    last = ""
    while not debugger.is_ended:
        try:
            line = read()
        except EOFError:
            return
        except KeyboardInterrupt:
            continue
        # As in cdb, an empty line repeats what can go on.
        if not line.strip() and last.split(None, 1)[:1] in ([w] for w in _REPEATED):
            line = last.split(None, 1)[0]
        last = line
        _run_safely(debugger, line)


_REPEATED = ("db", "dd", "dq", "dw", "dc", "dp", "da", "du", "dps", "u")


def _run_safely(debugger: Debugger, line: str) -> None:
    try:
        debugger.run(line)
    except KeyboardInterrupt:
        debugger.emit("(interrupted)")


def _run_stdin(debugger: Debugger) -> None:
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        debugger.emit(f"{debugger.prompt}{text}")
        debugger.run(text)
        if debugger.is_ended:
            return


def _terminal_reader(debugger: Debugger) -> Callable[[], str]:
    from lastwords.debug.prompt import reader  # noqa: PLC0415  (60 ms of prompt_toolkit)

    return reader(debugger, _history_file())


def _history_file() -> Path | None:
    """Where lines are kept between sessions; `None` when that folder cannot be made."""
    base = os.environ.get("XDG_STATE_HOME") or (Path.home() / ".local/state")
    folder = Path(base) / "lastwords"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return folder / "debug_history"
