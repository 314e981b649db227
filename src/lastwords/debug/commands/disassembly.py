"""Instructions: `u`, `uf`, `ub`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lastwords.debug.code_text import instruction_at, instruction_line, place_line
from lastwords.debug.expression import evaluate, evaluate_prefix
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__: list[str] = []

_THEME = "Disassembly"
_MAX_COUNT = 4_096
_LONGEST = 15


@command(
    "u", "uu",
    usage="[ADDRESS] [L COUNT | END]",
    summary="instructions; from where the last u ended without an address",
    example="u @rip L4",
    theme=_THEME,
)  # fmt: skip
def unassemble(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Instructions from an address on."""
    start, count, end = _range(debugger, arguments)
    found = instruction_at(debugger, start, count)
    if end is not None:
        found = [one for one in found if one["address"] <= end]
    yield from _listing(debugger, start, found)
    if found:
        last = found[-1]
        debugger.last_code = last["address"] + last["len"]


def _range(debugger: Debugger, arguments: str) -> tuple[int, int, int | None]:
    if not arguments:
        last = debugger.last_code
        return (last if last is not None else debugger.frame().ip), 8, None
    start, rest = evaluate_prefix(arguments, debugger)
    if not rest:
        return start, 8, None
    if found := re.match(r"[lL]\??\s*", rest):
        return start, min(evaluate(rest[found.end() :], debugger), _MAX_COUNT), None
    end = evaluate(rest, debugger)
    return start, min(max(end - start, 0) + 1, _MAX_COUNT), end


def _listing(debugger: Debugger, start: int, found: list[dict[str, Any]]) -> Iterable[str]:
    if not found:
        name = debugger.target.symbol_text(start)
        unsupported = debugger.target.session.ask("code", address=start, max=1).get("unsupported")
        if unsupported:
            raise Problem(f"Instructions of {unsupported} are not supported")
        raise missing(
            "memory",
            f"code at {name or debugger.target.address(start)}; "
            "the module's file in .sympath would do too",
        )
    function: str | None = None
    for one in found:
        name = (debugger.target.symbol_text(one["address"]) or "").split("+")[0]
        if name != function:
            function = name
            yield place_line(debugger, one["address"])
        yield instruction_line(debugger, one)


@command(
    "uf",
    usage="[ADDRESS]",
    summary="the whole function that holds an address",
    example="uf @rip",
    theme=_THEME,
)
def unassemble_function(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """A whole function."""
    options = re.sub(r"^/\w+\s*", "", arguments)
    address = evaluate(options, debugger) if options else debugger.frame().instruction
    start, end = function_range(debugger, address)
    if start is None:
        raise Problem(
            f"No code found at {debugger.target.address(address)}: no function is known there"
        )
    found = instruction_at(debugger, start, _MAX_COUNT)
    found = _until_end(found) if end is None else [one for one in found if one["address"] < end]
    yield from _listing(debugger, start, found)
    if len(found) == _MAX_COUNT:
        yield f"({_MAX_COUNT} instructions are shown)"


def function_range(debugger: Debugger, address: int) -> tuple[int | None, int | None]:
    """Start and end of the function that holds an address, as far as known."""
    place = debugger.target.session.ask("at", address=address)
    if not place:
        return None, None
    before, after, base = place["before"], place["after"], place["function_base"]
    if base is None or (before is not None and before["address"] > base):
        base = before["address"] if before is not None else base
    if base is None:
        return None, None
    if before is not None and before["address"] == base and before["size"]:
        return base, base + before["size"]
    return base, after["address"] if after is not None else None


def _until_end(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Up to the first end behind which no earlier jump leads."""
    furthest = 0
    for index, one in enumerate(found):
        if one["target"] is not None and one["memory"] is None:
            furthest = max(furthest, one["target"])
        if one["is_end"] and one["address"] + one["len"] > furthest:
            return found[: index + 1]
    return found


@command(
    "ub",
    usage="[ADDRESS] [L COUNT]",
    summary="the instructions before an address",
    example="ub @rip L4",
    theme=_THEME,
)
def unassemble_before(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Instructions before an address."""
    address, count, _end = (
        _range(debugger, arguments) if arguments else (debugger.frame().ip, 8, None)
    )
    found = _before(debugger, address, count)
    if not found:
        raise missing("memory", f"code before {debugger.target.address(address)}")
    yield from _listing(debugger, found[0]["address"], found)


def _before(debugger: Debugger, address: int, count: int) -> list[dict[str, Any]]:
    """From the function's start where that is near, else from where decoding meets the address."""
    start, _end = function_range(debugger, address - 1)
    nearest = address - count * _LONGEST - 64
    starts = [start] if start is not None and start >= address - (1 << 16) else []
    starts += range(nearest, address)
    for candidate in starts[: 64 + count * _LONGEST]:
        if candidate < 0 or candidate >= address:
            continue
        found = instruction_at(debugger, candidate, min(address - candidate, _MAX_COUNT * 4))
        ends = [one["address"] + one["len"] for one in found]
        if address in ends:
            upto = found[: ends.index(address) + 1]
            if all(one["mnemonic"] != "???" for one in upto[-count:]):
                return upto[-count:]
    return []
