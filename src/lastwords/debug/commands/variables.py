"""Variables and types: `dv`, `dt`."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

from lastwords.debug.expression import evaluate
from lastwords.debug.problem import Problem
from lastwords.debug.registry import command
from lastwords.debug.syntax import split_options, split_word
from lastwords.debug.variables import (
    Holes,
    describe,
    element_lines,
    field_lines,
    frame_variables,
    resolve,
    value_of,
    value_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Module
    from lastwords.debug.variables import Variable

__all__: list[str] = []

_THEME = "Variables and types"
_MAX_TYPES = 2_000


@command(
    "dv",
    usage="[/t] [/v] [/i] [PATTERN]",
    summary="variables of the chosen frame; /t types, /v where they are, /i which are parameters",
    example="dv /t /v",
    theme=_THEME,
)
def display_variables(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Variables of the chosen frame."""
    options, pattern = split_options(arguments)
    flags = "".join(options).lower()
    frame = debugger.frame()
    if frame.kind == "python":
        yield "This is a Python frame: !pylocals shows its variables. Its interpreter's own:"
    found = frame_variables(debugger, frame)
    if not found:
        raise Problem(_no_variables(debugger))
    if pattern:
        found = [one for one in found if fnmatch.fnmatch(one.name.lower(), pattern.lower())]
        if not found:
            raise Problem(f"No variable of this frame matches '{pattern}'")
    for one in found:
        yield _variable_line(debugger, one, flags)


def _variable_line(debugger: Debugger, one: Variable, flags: str) -> str:
    where = ""
    if "v" in flags:
        place = debugger.target.address(one.address) if one.address is not None else one.where
        where = f"{place:<17} "
    role = ""
    if "i" in flags:
        role = "prv param  " if one.is_parameter else "prv local  "
    type_name = f"{one.type_name(debugger)} " if "t" in flags else ""
    name = one.name if "t" in flags else f"{one.name:>15}"
    return f"{role}{where}{type_name}{name} = {value_text(debugger, one)}"


def _no_variables(debugger: Debugger) -> str:
    frame = debugger.frame()
    if frame.module is None:
        return "No module holds this frame, so nothing is known of its variables"
    facts = frame.module.facts
    if facts["kind"] in {"dwarf", "pdb"}:
        return "No variables: the debug information of this function tells none (or lines only)"
    return (
        f"Unable to enumerate locals: {frame.module.name} has {facts['kind'] or 'no'} symbols; "
        "variables need private ones, DWARF or a PDB: .sympath FOLDER"
    )


@command(
    "dt",
    usage="[-r[N]] [MODULE!]TYPE|VARIABLE[.FIELD] [ADDRESS] [FIELD]",
    summary="a type's fields, with values at an address or of a variable; -r2 those within too",
    example="dt -r1 node",
    theme=_THEME,
)
def display_type(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """A type, or a value by its type."""
    depth, text = _depth(arguments)
    name, rest = split_word(text)
    if not name:
        raise Problem("A type or variable is wanted: dt MODULE!Type ADDRESS, dt variable")
    if "*" in name and not name.endswith("*"):
        yield from _list_types(debugger, name)
        return
    if "*" in name and not rest:
        yield from _list_types(debugger, name)
        return
    address, field = _address_and_field(debugger, rest)
    place = _variable(debugger, name) if address is None else None
    holes: Holes = ()
    if place is not None:
        module, described, address, data, holes = place
    else:
        module, described = _type_named(debugger, name)
        data = None
    yield from _show(
        debugger,
        module,
        described,
        address=address,
        data=data,
        depth=depth,
        wanted=field,
        holes=holes,
    )


def _depth(arguments: str) -> tuple[int, str]:
    depth, text = 0, arguments.strip()
    while found := re.match(r"-(\w+)\s+", text):
        word = found.group(1)
        if word.startswith("r"):
            depth = int(word[1:]) if word[1:].isdigit() else 16
        text = text[found.end() :]
    return depth, text


def _address_and_field(debugger: Debugger, rest: str) -> tuple[int | None, str]:
    address: int | None = None
    field = ""
    for word in rest.split():
        is_name = re.fullmatch(r"[A-Za-z_]\w*", word) is not None
        value = _value_or_none(debugger, word) if is_name else evaluate(word, debugger)
        if value is None:
            field = word
        else:
            address = value
    return address, field


def _value_or_none(debugger: Debugger, word: str) -> int | None:
    try:
        return evaluate(word, debugger)
    except Problem:
        return None


def _show(  # noqa: PLR0913
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    *,
    address: int | None,
    data: bytes | None,
    depth: int,
    wanted: str,
    holes: Holes = (),
) -> Iterable[str]:
    behind = resolve(debugger, module, described["id"]) or described
    has_value = address is not None or data is not None
    if has_value and behind["kind"] == "pointer" and behind["target"] is not None:
        value = _pointer(debugger, address, data)
        inner = resolve(debugger, module, behind["target"]["id"])
        text = debugger.target.address(value) if value is not None else "????"
        place = f" @ 0x{debugger.target.address(address)}" if address is not None else ""
        yield f"{described['name']}{place} -> 0x{text}"
        if inner is None or value is None or inner["kind"] not in {"struct", "class", "union"}:
            if value is not None and inner is not None and inner["size"]:
                yield _plain(debugger, module, inner, value, None)
            return
        address, behind, data = value, inner, None
    if behind["kind"] in {"struct", "class", "union"}:
        if address is not None:
            yield f"{behind['name']} @ 0x{debugger.target.address(address)}"
        yield from field_lines(
            debugger,
            module,
            behind,
            address=address,
            data=data,
            depth=depth,
            wanted=wanted,
            holes=holes,
        )
        if address is None and data is None and behind["size"] is not None:
            yield f"   (size {behind['size']:#x})"
        return
    if behind["kind"] == "enum" and address is None and data is None:
        for one in behind["enumerators"]:
            yield f"   {one['name']} = 0n{one['value']}"
        return
    yield _plain(debugger, module, behind, address, data)
    if behind["kind"] == "array":
        yield from element_lines(debugger, module, behind, address=address, data=data, depth=depth)


def _pointer(debugger: Debugger, address: int | None, data: bytes | None) -> int | None:
    if data is not None:
        return int.from_bytes(data[: debugger.pointer_bytes], "little")
    return debugger.target.read_number(address or 0)


def _plain(
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    address: int | None,
    data: bytes | None,
) -> str:
    if data is None and address is not None and described["size"]:
        data = debugger.target.read(address, min(described["size"], 1 << 16))
    if data is None:
        size = f" (size {described['size']:#x})" if described["size"] else ""
        return (
            f"{described['name']}{size}"
            if address is None
            else f"{described['name']} ?? (not in the dump)"
        )
    return f"{described['name']} {value_of(debugger, module, described, data, address)}"


def _variable(
    debugger: Debugger, name: str
) -> tuple[int, dict[str, Any], int | None, bytes | None, Holes] | None:
    """A variable of the frame, or a global one; fields behind `.` and `->` too."""
    head, *fields = re.split(r"\.|->", name)
    found = None
    if "!" not in head:
        found = next(
            (one for one in frame_variables(debugger, debugger.frame()) if one.name == head), None
        )
    if found is not None:
        if found.gone is not None:
            raise Problem(f"{head}: <value unavailable: {found.gone}>")
        place = (found.module, found.type_id, found.address, found.data)
    else:
        other = _global(debugger, head)
        if other is None:
            return None
        place = other
    module, type_id, address, data = place
    for field in fields:
        module, type_id, address, data = _field(debugger, module, type_id, address, data, field)
    described = describe(debugger, module, type_id)
    holes = found.holes if found is not None and not fields else ()
    return None if described is None else (module, described, address, data, holes)


def _global(debugger: Debugger, name: str) -> tuple[int, int, int | None, bytes | None] | None:
    for module, rest in _places(debugger, name):
        found = debugger.target.session.ask("type_of", module=module.index, name=rest)
        if found:
            return module.index, found["type"], found["address"], None
    return None


def _field(  # noqa: PLR0913, PLR0917
    debugger: Debugger,
    module: int,
    type_id: int | None,
    address: int | None,
    data: bytes | None,
    field: str,
) -> tuple[int, int | None, int | None, bytes | None]:
    described = resolve(debugger, module, type_id)
    if described is not None and described["kind"] == "pointer":
        value = _pointer(debugger, address, data)
        if value is None:
            raise Problem("The pointer is not in the dump")
        described = resolve(debugger, module, (described["target"] or {}).get("id"))
        address, data = value, None
    for one in (described or {"fields": []})["fields"]:
        if one["name"] == field:
            piece = data[one["offset"] :] if data is not None else None
            place = address + one["offset"] if address is not None else None
            return module, one["type"]["id"], place, piece
    raise Problem(f"There is no field '{field}'")


def _places(debugger: Debugger, name: str) -> list[tuple[Module, str]]:
    """The modules that a name may be of: the one it says, else the frame's, then opened ones."""
    module_name, bang, rest = name.partition("!")
    if bang:
        module = debugger.target.module_named(module_name)
        if module is None:
            raise Problem(f"There is no module {module_name}; lm lists them")
        return [(module, rest)]
    own = debugger.frame().module
    modules = [own] if own is not None else []
    rich = [
        m for m in debugger.target.modules if m.facts["kind"] in {"dwarf", "pdb"} and m is not own
    ]
    return [(module, name) for module in [*modules, *rich]]


def _type_named(debugger: Debugger, name: str) -> tuple[int, dict[str, Any]]:
    bare = re.sub(r"\b(struct|class|union|enum)\s+", "", name).rstrip("* ")
    is_pointer = name.rstrip().endswith("*")
    places = _places(debugger, bare)
    for module, rest in places:
        for pattern in (rest, f"*::{rest}"):
            answer = debugger.target.session.ask(
                "types", module=module.index, pattern=pattern, max=64
            )
            exact = [one for one in answer["types"] if one["name"] == rest] or answer["types"]
            for one in exact:
                described = describe(debugger, module.index, one["id"])
                if described is not None:
                    return module.index, described
    _ = is_pointer
    names = ", ".join(sorted({module.name for module, _rest in places})) or "no module"
    raise Problem(
        f"Symbol {bare} not found: neither a variable nor a type of {names}. "
        "Types need DWARF or a PDB; dt MODULE!*part* lists them"
    )


def _list_types(debugger: Debugger, name: str) -> Iterable[str]:
    is_any = False
    for module, pattern in _places(debugger, name):
        answer = debugger.target.session.ask(
            "types", module=module.index, pattern=pattern, max=_MAX_TYPES
        )
        for one in answer["types"]:
            is_any = True
            yield f"          {module.name}!{one['name']}"
        if answer["is_cut"]:
            yield f"({_MAX_TYPES} types are shown; there are more)"
    if not is_any:
        raise Problem(f"No type matches '{name}'")
