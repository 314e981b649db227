"""Symbols by name and by address: `x`, `ln`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lastwords.debug.expression import evaluate
from lastwords.debug.problem import Problem
from lastwords.debug.registry import command
from lastwords.debug.syntax import split_options
from lastwords.debug.target import without_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Module

__all__: list[str] = []

_THEME = "Symbols"
_MAX_NAMES = 5_000


@command(
    "x",
    usage="MODULE!PATTERN",
    summary="symbols by pattern (* any text, ? one character), with their addresses",
    example="x libpython3_11!PyErr_*",
    theme=_THEME,
)
def examine(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """List symbols by pattern."""
    _options, text = split_options(arguments)
    if not text:
        yield from _locals(debugger)
        return
    modules, pattern = _modules_of(debugger, text)
    left = _MAX_NAMES
    is_any = False
    for module in modules:
        answer = debugger.target.session.ask(
            "names", module=module.index, pattern=pattern, max=left
        )
        for one in answer["names"]:
            is_any = True
            kind = "" if one["kind"] != "data" else " = <data>"
            yield f"{debugger.target.address(one['address'])} {module.name}!{one['name']}{kind}"
        left -= len(answer["names"])
        for note in answer["notes"]:
            yield f"*** {note}"
        if answer["is_cut"] or left <= 0:
            yield f"({_MAX_NAMES} symbols are shown; there are more)"
            break
    if not is_any:
        debugger.target.refresh_modules()
        yield from _why_none(modules)


def _modules_of(debugger: Debugger, text: str) -> tuple[list[Module], str]:
    name, bang, pattern = text.partition("!")
    if not bang:
        frame = debugger.frame()
        if frame.module is None:
            raise Problem(f"Say of which module: x MODULE!{text}")
        return [frame.module], text
    if "*" in name or "?" in name:
        expression = re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")
        test = re.compile(expression, re.IGNORECASE)
        found = [module for module in debugger.target.modules if test.fullmatch(module.name)]
    else:
        module = debugger.target.module_named(name)
        found = [] if module is None else [module]
    if not found:
        raise Problem(f"Couldn't resolve 'x {text}': there is no module {name}; lm lists them")
    return found, pattern or "*"


def _why_none(modules: list[Module]) -> Iterable[str]:
    for module in modules[:8]:
        if module.facts["status"] in {"missing", "no_id", "mismatched", "malformed"}:
            status = module.facts["status"]
            yield f"*** no symbols of {module.name}: {status}; lmvm {module.name} says more"


def _locals(debugger: Debugger) -> Iterable[str]:
    yield from debugger.start("dv /v")


@command(
    "ln",
    usage="[ADDRESS]",
    summary="the symbols at or around an address",
    example="ln @rip",
    theme=_THEME,
)
def list_nearest(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """The nearest symbols."""
    address = evaluate(arguments, debugger) if arguments else debugger.frame().ip
    module = debugger.target.module_at(address)
    if module is None:
        raise Problem(f"No module holds {debugger.target.address(address)}; lm lists them")
    place = debugger.target.session.ask("at", address=address)
    text = debugger.target.address
    if place["frames"] and place["frames"][-1]["file"]:
        frame = place["frames"][-1]
        yield f"{frame['file']}({frame['line'] or 0})"
    name, base = debugger.target._best(place)  # noqa: SLF001  (of the same room)
    if name is None or base is None:
        raise Problem(f"No symbols are known of {module.name} around {text(address)}")
    offset = address - base
    near = f"({text(base)})   {module.name}!{name}" + (f"+{offset:#x}" if offset else "")
    after = place["after"]
    if after is not None:
        near += (
            f"   |  ({text(after['address'])})   {module.name}!{without_parameters(after['name'])}"
        )
    yield near
    if offset == 0:
        yield "Exact matches:"
        yield f"    {module.name}!{name}"
    for inline in place["frames"][:-1]:
        yield f"    inlined here: {module.name}!{inline['function']}"
