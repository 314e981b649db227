"""Variables and values: from types and bytes to text."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastwords.debug.numbers import signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = [
    "Variable",
    "describe",
    "field_lines",
    "frame_variables",
    "resolve",
    "type_ref_text",
    "value_of",
    "value_text",
]

_MAX_TEXT = 256
_MAX_ELEMENTS = 64
_MAX_DEPTH = 16


Holes = tuple[tuple[int, int], ...]
"""Offset and size of the parts of a value that are optimized out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a frame: its type, and where it is."""

    name: str
    is_parameter: bool
    module: int
    type_id: int | None
    address: int | None
    data: bytes | None
    holes: Holes
    gone: str | None
    where: str
    function: str | None

    def type_name(self, debugger: Debugger) -> str:
        """Its type as in the source."""
        described = describe(debugger, self.module, self.type_id)
        return type_ref_text(described) if described else "<type not told>"


def frame_variables(debugger: Debugger, frame: Frame) -> list[Variable]:
    """The variables of a frame: of its own function, or of the one inlined there."""
    if frame.native is None:
        return []
    answer = debugger.target.session.ask(
        "variables",
        thread=debugger.thread,
        own_context=not debugger.is_exception_context,
        frame=frame.native,
    )
    scopes = answer["scopes"]
    if not scopes:
        return []
    # Stacks and variables may come from different files that do not agree on inline functions.
    scope = scopes[min(frame.depth, len(scopes) - 1)]
    found = []
    for one in scope["variables"]:
        place = one["place"]
        data = bytes.fromhex(place["bytes"]) if "bytes" in place else None
        found.append(
            Variable(
                name=one["name"],
                is_parameter=one["is_parameter"],
                module=answer["module"],
                type_id=one["type"],
                address=place.get("address"),
                data=data,
                holes=tuple((at, size) for at, size in place.get("holes", [])),
                gone=place.get("gone"),
                where=one["where"],
                function=scope["function"],
            )
        )
    return found


def describe(debugger: Debugger, module: int, type_id: int | None) -> dict[str, Any] | None:
    """A type, described; `None` for `void`."""
    if type_id is None:
        return None
    found: dict[str, Any] | None = debugger.target.session.ask("type", module=module, id=type_id)
    return found


def resolve(debugger: Debugger, module: int, type_id: int | None) -> dict[str, Any] | None:
    """What is behind typedefs and modifiers."""
    found = describe(debugger, module, type_id)
    for _ in range(64):
        if found is None or found["kind"] not in {"typedef", "modifier"}:
            return found
        target = found["target"]
        found = describe(debugger, module, target["id"]) if target else None
    return found


def type_ref_text(described: dict[str, Any]) -> str:
    """A type's name as cdb's `dv /t` writes it: `struct Node`, `int`."""
    words = {"struct": "struct ", "class": "class ", "union": "union ", "enum": "enum "}
    name: str = described["name"]
    return words.get(described["kind"], "") + name


def value_text(debugger: Debugger, variable: Variable) -> str:
    """A variable's value in a few words."""
    if variable.gone is not None:
        return f"<value unavailable: {variable.gone}>"
    described = resolve(debugger, variable.module, variable.type_id)
    if described is None:
        return "<type not told>"
    if variable.data is not None:
        return value_of(debugger, variable.module, described, variable.data, None)
    return _at(debugger, variable.module, described, variable.address or 0)


def _at(debugger: Debugger, module: int, described: dict[str, Any], address: int) -> str:
    if described["kind"] in {"struct", "class", "union"}:
        return f"{type_ref_text(described)}"
    size = described["size"]
    if size is None or size > 1 << 20:
        return str(described["name"])
    data = debugger.target.read(address, size) if size else b""
    if data is None:
        return f"<memory at {debugger.target.address(address)} is not in the dump>"
    return value_of(debugger, module, described, data, address)


def value_of(  # noqa: PLR0911  (one for each kind)
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    data: bytes,
    address: int | None,
) -> str:
    """The value that bytes are, by their type."""
    kind = described["kind"]
    if kind == "base":
        return _number_text(described, data)
    if kind in {"pointer", "reference"}:
        return _pointer_text(debugger, module, described, data)
    if kind == "enum":
        return _enum_text(described, data)
    if kind == "array":
        return _array_text(debugger, module, described, data, address)
    if kind in {"struct", "class", "union"}:
        return type_ref_text(described)
    if kind == "bitfield":
        return f"0y{int.from_bytes(data, 'little'):b}"
    return f"0x{int.from_bytes(data[:8], 'little'):x}" if data else described["name"]


def _number_text(described: dict[str, Any], data: bytes) -> str:
    size = described["size"] or len(data)
    data = data[:size]
    value = int.from_bytes(data, "little")
    encoding = described["encoding"]
    if encoding == "float":
        return _float_text(data)
    if encoding == "bool":
        return {0: "false", 1: "true"}.get(value, f"{value:#x}")
    if encoding == "char":
        text = chr(value) if value < 0x110000 and chr(value).isprintable() else ""
        return f"0n{signed(value, size)}" + (f" '{text}'" if text else " ''")
    if encoding == "signed":
        return f"0n{signed(value, size)}"
    return f"{value:#x}"


def _float_text(data: bytes) -> str:
    if len(data) == 4:
        return f"{struct.unpack('<f', data)[0]:.9g}"
    if len(data) == 8:
        return f"{struct.unpack('<d', data)[0]:.17g}"
    if len(data) in {10, 12, 16}:
        return f"{_extended(data):.17g}"
    return f"0x{data[::-1].hex()}"


def _extended(data: bytes) -> float:
    """x87's 80 bits: 64 of the number, 15 of the exponent, the sign."""
    fraction = int.from_bytes(data[:8], "little")
    top = int.from_bytes(data[8:10], "little")
    exponent = (top & 0x7FFF) - 16383 - 63
    try:
        value = float(fraction) * 2.0**exponent
    except OverflowError:
        value = float("inf")
    return -value if top & 0x8000 else value


def _pointer_text(debugger: Debugger, module: int, described: dict[str, Any], data: bytes) -> str:
    value = int.from_bytes(data[: debugger.pointer_bytes], "little")
    text = f"0x{debugger.target.address(value)}"
    target = described["target"]
    if target is None or value == 0:
        return text if value else f"{text} (null)" if target is None else text
    behind = resolve(debugger, module, target["id"])
    if behind is not None and behind["kind"] == "base" and behind["encoding"] == "char":
        found = _text_at(debugger, value, behind["size"] or 1)
        return f"{text} {found}" if found is not None else text
    if target["kind"] == "function":
        return f"{text} {debugger.target.symbol_text(value) or ''}".rstrip()
    return f"{text} {target['name']}"


def _text_at(debugger: Debugger, address: int, size: int) -> str | None:
    pieces = debugger.target.pieces(address, _MAX_TEXT * size)
    if not pieces or pieces[0][0] != address:
        return None
    return _quoted(pieces[0][1], size, is_cut=len(pieces[0][1]) >= _MAX_TEXT * size)


def _quoted(data: bytes, size: int, *, is_cut: bool) -> str:
    units = [data[i : i + size] for i in range(0, len(data) - size + 1, size)]
    end = next((i for i, unit in enumerate(units) if not any(unit)), None)
    raw = b"".join(units[:end])
    coding = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}.get(size, "utf-8")
    text = raw.decode(coding, errors="replace")
    return f'"{text}"' + ("..." if end is None and is_cut else "")


def _enum_text(described: dict[str, Any], data: bytes) -> str:
    size = described["size"] or len(data)
    value = int.from_bytes(data[:size], "little")
    number = signed(value, size) if size else 0
    names = [e["name"] for e in described["enumerators"] if e["value"] in {value, number}]
    return f"{names[0]} (0n{number})" if names else f"0n{number} (no matching enumerant)"


def _array_text(
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    data: bytes,
    address: int | None,
) -> str:
    element = resolve(debugger, module, (described["target"] or {}).get("id"))
    name = str(described["name"])
    if element is None or not element["size"]:
        return name
    if element["kind"] == "base" and element["encoding"] == "char":
        return f"{name} {_quoted(data, element['size'], is_cut=False)}"
    if element["kind"] in {"struct", "class", "union", "array"}:
        return name
    count = min(len(data) // element["size"], _MAX_ELEMENTS)
    texts = [
        value_of(
            debugger,
            module,
            element,
            data[i * element["size"] : (i + 1) * element["size"]],
            address,
        )
        for i in range(min(count, 8))
    ]
    more = ", ..." if len(data) // element["size"] > len(texts) else ""
    return f"{name} {{{', '.join(texts)}{more}}}"


def field_lines(  # noqa: PLR0913  (a type, where it is, and how deep)
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    *,
    address: int | None,
    data: bytes | None,
    depth: int,
    level: int = 0,
    wanted: str = "",
    holes: Holes = (),
) -> Iterable[str]:
    """A structure's fields, `   +0x008 next : 0x… Node`, with those within up to `depth`."""
    indent = "   " * (level + 1)
    for field in described["fields"]:
        if wanted and not field["name"].lower().startswith(wanted.lower()):
            continue
        name = field["name"] or ("<base>" if field["is_base"] else "<unnamed>")
        if field["is_base"] and not field["name"]:
            name = f"<base {field['type']['name']}>"
        piece, place = _piece(debugger, field, address, data)
        inner = resolve(debugger, module, field["type"]["id"])
        inside = _holes_within(holes, field["offset"], field["type"]["size"] or 0)
        is_gone = inside and (inner is None or inner["kind"] not in {"struct", "class", "union"})
        text = _field_text(debugger, module, field, inner, piece, place)
        text = "<optimized out>" if is_gone else text
        yield f"{indent}+0x{field['offset']:03x} {name:<16} : {text}"
        is_nested = inner is not None and inner["kind"] in {"struct", "class", "union"}
        if is_nested and inner is not None and level < min(depth, _MAX_DEPTH):
            yield from field_lines(
                debugger,
                module,
                inner,
                address=place,
                data=piece,
                depth=depth,
                level=level + 1,
                holes=inside,
            )
        elif inner is not None and inner["kind"] == "array" and level < min(depth, _MAX_DEPTH):
            yield from element_lines(
                debugger, module, inner, address=place, data=piece, depth=depth, level=level + 1
            )
    if described["is_cut"]:
        yield f"{indent}(there are more fields than are shown)"


def _holes_within(holes: Holes, offset: int, size: int) -> Holes:
    """The holes that reach into a field, counted from its start."""
    return tuple(
        (at - offset, length) for at, length in holes if at < offset + size and offset < at + length
    )


def element_lines(  # noqa: PLR0913  (a type, where it is, and how deep)
    debugger: Debugger,
    module: int,
    described: dict[str, Any],
    *,
    address: int | None,
    data: bytes | None,
    depth: int,
    level: int = 0,
) -> Iterable[str]:
    """An array's elements, where they are structures."""
    element = resolve(debugger, module, (described["target"] or {}).get("id"))
    if (
        element is None
        or not element["size"]
        or element["kind"] not in {"struct", "class", "union"}
    ):
        return
    indent = "   " * (level + 1)
    count = described["count"] or 0
    for index in range(min(count, _MAX_ELEMENTS)):
        start = index * element["size"]
        place = address + start if address is not None else None
        piece = data[start : start + element["size"]] if data is not None else None
        yield f"{indent}[{index:02d}] {type_ref_text(element)}"
        yield from field_lines(
            debugger, module, element, address=place, data=piece, depth=depth, level=level + 1
        )
    if count > _MAX_ELEMENTS:
        yield f"{indent}({count - _MAX_ELEMENTS} more elements)"


def _piece(
    debugger: Debugger, field: dict[str, Any], address: int | None, data: bytes | None
) -> tuple[bytes | None, int | None]:
    size = field["type"]["size"]
    offset = field["offset"]
    place = address + offset if address is not None else None
    if data is not None:
        return (data[offset : offset + size] if size is not None else None), place
    if place is None or size is None or size > 1 << 16:
        return None, place
    return debugger.target.read(place, size), place


def _field_text(  # noqa: PLR0913, PLR0911, PLR0917
    debugger: Debugger,
    module: int,
    field: dict[str, Any],
    inner: dict[str, Any] | None,
    piece: bytes | None,
    place: int | None,
) -> str:
    name = str(field["type"]["name"])
    if place is None and piece is None:
        if field["bit_size"] is not None:
            return f"Pos {field['bit_offset']}, {field['bit_size']} Bits"
        return name
    if inner is None:
        return name
    if inner["kind"] in {"struct", "class", "union"}:
        return name
    if piece is None:
        return "?? (not in the dump)"
    if inner["kind"] == "bitfield" or field["bit_size"] is not None:
        offset = field["bit_offset"] if field["bit_size"] is not None else inner["bit_offset"]
        size = field["bit_size"] if field["bit_size"] is not None else inner["bit_size"]
        value = int.from_bytes(piece, "little") >> (offset or 0) & ((1 << (size or 0)) - 1)
        return f"0y{value:0{size}b}"
    return value_of(debugger, module, inner, piece, place)
