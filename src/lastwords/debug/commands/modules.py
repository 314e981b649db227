"""Modules and where symbols and sources come from: `lm`, `.sympath`, `.reload`, `!sym`."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lastwords.debug.downloads import download
from lastwords.debug.expression import evaluate
from lastwords.debug.problem import Problem
from lastwords.debug.registry import command
from lastwords.debug.syntax import split_options
from lastwords.debug.target import leaf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Module

__all__ = ["module_line"]

_THEME = "Modules, symbols and sources"
_MICROSOFT = "https://msdl.microsoft.com/download/symbols"
_KINDS = {
    "pdb": "(private pdb symbols)",
    "dwarf": "(private dwarf symbols)",
    "breakpad": "(breakpad symbols)",
    "symbol_table": "(export symbols)",
    "cfi_only": "(no symbols)",
}


@command(
    "lm",
    usage="[D][v][a ADDRESS][m PATTERN][f][t][n][1m]",
    summary="modules and the state of their symbols; v all of each, m by pattern, f files, t times",
    example="lmvm python*",
    theme=_THEME,
)
def list_modules(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """List modules."""
    flags, pattern, address = _parse(debugger, arguments)
    modules = sorted(debugger.target.modules, key=lambda module: module.base)
    if pattern is not None:
        test = _glob(pattern)
        modules = [m for m in modules if test.fullmatch(m.name) or test.fullmatch(m.file_name)]
    if address is not None:
        modules = [module for module in modules if module.base <= address < module.end]
    if "l" in flags or "e" in flags:
        modules = [module for module in modules if module.facts["status"] == "loaded"]
    if "1m" in flags:
        yield from (module.name for module in modules)
        return
    yield _header(debugger)
    for module in modules:
        yield module_line(debugger, module, flags)
        if "v" in flags:
            yield from _details(debugger, module)
    if pattern is None and address is None and debugger.target.unloaded:
        yield ""
        yield "Unloaded modules:"
        for one in debugger.target.unloaded:
            start, end = one["base"], one["base"] + one["size"]
            text = debugger.target.address
            yield f"{text(start)} {text(end)}   {leaf(one['name'])}"


def _parse(debugger: Debugger, text: str) -> tuple[str, str | None, int | None]:
    flags, rest = "", text.strip()
    pattern: str | None = None
    address: int | None = None
    while rest:
        letter = rest[0]
        if letter == "m":
            pattern = rest[1:].strip().strip('"') or "*"
            return flags, pattern, address
        if letter == "a":
            address = evaluate(rest[1:], debugger)
            return flags, pattern, address
        if letter == "M":
            return flags, rest[1:].strip().strip('"') or "*", address
        if letter == "1" and rest[1:2] == "m":
            flags, rest = flags + "1m", rest[2:].strip()
            if rest:
                pattern = rest.removeprefix("m").strip()
            return flags, pattern, address
        if not letter.isalnum() and not letter.isspace():
            return flags, rest, address
        flags += letter.strip()
        rest = rest[1:]
    return flags, pattern, address


def _glob(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _header(debugger: Debugger) -> str:
    return (
        "start             end                 module name"
        if debugger.pointer_bytes == 8
        else "start    end        module name"
    )


def module_line(debugger: Debugger, module: Module, flags: str = "") -> str:
    """One line of `lm`."""
    text = debugger.target.address
    head = f"{text(module.base)} {text(module.end)}   {module.name:<8}"
    if "f" in flags:
        return f"{head} {module.path}"
    if "t" in flags:
        return f"{head} {_time(module)}"
    if "n" in flags:
        return f"{head} {module.file_name}"
    facts = module.facts
    state, mark = _state(debugger, module)
    path = f" {facts['symbols']}" if facts["status"] == "loaded" and facts["symbols"] else ""
    return f"{head} {mark} {state:<22}{path}".rstrip()


def _state(debugger: Debugger, module: Module) -> tuple[str, str]:
    facts = module.facts
    status = facts["status"]
    if status == "not_requested":
        return "(deferred)", " "
    if status == "loaded":
        is_unverified = debugger.target.is_windows and not facts["checksum"]
        return _KINDS.get(facts["kind"], "(symbols)"), "C" if is_unverified else " "
    return "(no symbols)", "M" if status == "mismatched" else "#" if status == "malformed" else " "


def _time(module: Module) -> str:
    stamp = module.facts["time"]
    if not stamp:
        return "unavailable (00000000)"
    moment = dt.datetime.fromtimestamp(stamp, tz=dt.timezone.utc)
    return f"{moment:%a %b %d %H:%M:%S %Y} ({stamp:08X})"


def _details(debugger: Debugger, module: Module) -> Iterable[str]:
    facts = module.facts
    yield f"    Loaded symbol image file: {facts['symbols'] or 'none'}"
    yield f"    Image path: {module.path}"
    yield f"    Image name: {module.file_name}"
    yield f"    Timestamp:        {_time(module)}"
    yield f"    CheckSum:         {facts['checksum']:08X}"
    yield f"    ImageSize:        {module.size:08X}"
    if facts["version"]:
        yield f"    File version:     {facts['version']}"
    if facts["product_version"]:
        yield f"    Product version:  {facts['product_version']}"
        yield f"    File flags:       {facts['file_flags']:X}"
    if facts["code_id"]:
        yield f"    Code id:          {facts['code_id']}"
    if facts["debug_id"]:
        name = f"{facts['debug_file']} " if facts["debug_file"] else ""
        yield f"    Debug id:         {name}{facts['debug_id']}"
    if facts["reason"]:
        yield f"    Symbols refused:  {facts['symbols'] or ''} {facts['reason']}"
    elif facts["status"] in {"missing", "no_id"}:
        why = (
            "the dump names no id"
            if facts["status"] == "no_id"
            else "none with this id in the symbol path"
        )
        yield f"    Symbols missing:  {why}"
    _ = debugger


@command(
    ".sympath",
    ".sympath+",
    usage="[PATH;…]",
    summary="show, set or extend where symbols are looked for",
    example=".sympath+ /build/symbols",
    theme=_THEME,
)
def symbol_path(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Where symbols come from."""
    path = debugger.symbols.text
    if arguments.startswith("+"):
        name, arguments = ".sympath+", arguments[1:].strip()
    if arguments:
        path = f"{path};{arguments}" if name.endswith("+") and path else arguments
        debugger.symbols.change(path)
        debugger.look_anew()
        yield from download(debugger)
    yield from path_lines(debugger)


def path_lines(debugger: Debugger) -> Iterable[str]:
    """The symbol path, and what cannot be used of it."""
    yield f"Symbol search path is: {debugger.symbols.text or '*** none ***'}"
    places = debugger.symbols.places
    expanded = [*map(str, places.all_paths), *(server.url for server in places.servers)]
    yield f"Expanded Symbol search path is: {';'.join(expanded)}"
    yield from debugger.symbols.notes()
    if debugger.symbols.local_modules:
        yield "Then: the module files that the dump names, where they are on this machine"
    for problem in debugger.target.about["problems"]:
        yield f"*** WARNING: {problem['path']}: {problem['message']}"


@command(
    ".symfix",
    ".symfix+",
    usage="[FOLDER]",
    summary="take Microsoft's public symbol server, and keep what it gives in a folder",
    example=".symfix /build/microsoft",
    theme=_THEME,
)
def symbol_fix(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Set the symbol path to Microsoft's server."""
    folder = arguments.strip()
    server = f"srv*{folder}*{_MICROSOFT}" if folder else f"srv*{_MICROSOFT}"
    path = debugger.symbols.text
    debugger.symbols.change(f"{path};{server}" if name.endswith("+") and path else server)
    debugger.look_anew()
    yield from download(debugger)
    yield from path_lines(debugger)


@command(
    ".srcpath",
    ".srcpath+",
    usage="[PATH;…]",
    summary="show, set or extend where source files are looked for",
    example=".srcpath /home/me/project",
    theme=_THEME,
)
def source_path(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Where sources come from."""
    if arguments.startswith("+"):
        name, arguments = ".srcpath+", arguments[1:].strip()
    if arguments:
        old = debugger.source_path
        debugger.source_path = f"{old};{arguments}" if name.endswith("+") and old else arguments
    yield f"Source search path is: {debugger.source_path or '*** none ***'}"


@command(
    ".reload",
    usage="[/f] [/i] [/u] [MODULE]",
    summary="look for symbols anew, and download them from servers of the symbol path; /f opens "
    "those of all modules (or of one) now",
    example=".reload /f /i",
    theme=_THEME,
)
def reload(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Look for symbols anew."""
    options, rest = split_options(arguments)
    debugger.look_anew()
    if "u" in options:
        return
    name = rest.split("=")[0].strip()
    if name:
        module = debugger.target.module_named(name)
        if module is None:
            raise Problem(f'"{name}" was not found in the image list.')
        yield from download(debugger, [module.index])
        debugger.target.load([module.index])
    elif "f" in options or "i" in options:
        yield from download(debugger, range(len(debugger.target.modules)))
        debugger.target.load(None)
    else:
        yield from download(debugger)
    yield "." * len(debugger.target.modules)
    for module in debugger.target.modules:
        yield from _reload_notes(debugger, module)


def _reload_notes(debugger: Debugger, module: Module) -> Iterable[str]:
    facts = module.facts
    if facts["status"] == "loaded" and debugger.target.is_windows and not facts["checksum"]:
        yield f"*** WARNING: Unable to verify checksum for {module.file_name}"
    why = f"{facts['symbols']}: {facts['reason']}"
    if facts["status"] == "mismatched":
        yield f"*** WARNING: symbols of {module.file_name} do not match: {why}"
    if facts["status"] == "malformed":
        yield f"*** ERROR: symbols of {module.file_name} cannot be read: {why}"
    if debugger.is_noisy:
        yield from _noise(module)


def _noise(module: Module) -> Iterable[str]:
    facts = module.facts
    outcome = {
        "loaded": f"{facts['kind']} {facts['symbols']}",
        "missing": f"none with id {facts['debug_id']} in the symbol path",
        "no_id": "the dump names no id, so no file can be told to be the right one",
        "not_requested": "not looked for yet",
    }.get(facts["status"], f"{facts['status']}: {facts['symbols']}")
    yield f"SYMSRC: {module.file_name}: {outcome}"


@command(
    "!sym",
    usage="noisy|quiet",
    summary="say where the symbols of each module were found, or why not",
    example="!sym noisy",
    theme=_THEME,
)
def noise(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Say more or less about symbols."""
    word = arguments.strip().lower()
    if word in {"noisy", "quiet"}:
        debugger.is_noisy = word == "noisy"
        state = (
            "noisy mode - symbol prompts on"
            if debugger.is_noisy
            else "quiet mode - symbol prompts on"
        )
        yield state
        if debugger.is_noisy:
            for module in debugger.target.modules:
                yield from _noise(module)
        return
    if word:
        raise Problem(f"Unknown option '{word}'; !sym noisy or !sym quiet")
    yield f"!sym <noisy/quiet> - currently {'noisy' if debugger.is_noisy else 'quiet'} mode"


@command(
    ".lines",
    usage="[-d|-e|-t]",
    summary="whether stacks show source files and lines",
    example=".lines -d",
    theme=_THEME,
)
def lines(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Show or hide source lines."""
    word = arguments.strip()
    debugger.are_lines_shown = {"-d": False, "-e": True}.get(word, not debugger.are_lines_shown)
    yield f"Line number information will {'' if debugger.are_lines_shown else 'not '}be loaded"


@command(
    "lsa",
    "lsa.",
    usage="[.]",
    summary="source lines around where the chosen frame stands",
    example="lsa .",
    theme=_THEME,
)
def source(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """Source around the chosen frame."""
    from lastwords.debug.source_lines import lines_around  # noqa: PLC0415

    frame = debugger.frame()
    found = list(lines_around(debugger, frame, before=5, after=5))
    if not found:
        place = frame.file or "no file is known for this frame"
        raise Problem(f"The source is not there: {place}. Say where: .srcpath {Path.cwd()}")
    yield from found
