"""Memory: `db` and its kin, `dps`, `s`, `?`, `.formats`."""

from __future__ import annotations

import datetime as dt
import re
import struct
from typing import TYPE_CHECKING

from lastwords.debug.expression import evaluate, evaluate_prefix
from lastwords.debug.numbers import signed
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import command
from lastwords.debug.syntax import split_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger

__all__: list[str] = []

_THEME = "Memory"
_MAX_BYTES = 1 << 20
_MAX_TEXT = 4_096
# Letters → bytes of an element, elements of a line, elements without a count.
_NUMBERS = {
    "db": (1, 16, 128),
    "dw": (2, 8, 64),
    "dd": (4, 4, 32),
    "dq": (8, 2, 16),
    "dc": (4, 4, 32),
    "df": (4, 4, 16),
    "dD": (8, 2, 16),
}


def _range(
    debugger: Debugger, arguments: str, size: int, default: int, command_name: str
) -> tuple[int, int]:
    """Address and number of elements; without arguments, behind what was shown last."""
    if not arguments:
        last = debugger.last_dump
        start = last[1] if last is not None else debugger.frame().sp
        return start, default
    start, rest = evaluate_prefix(arguments, debugger)
    if not rest:
        return start, default
    if found := re.match(r"[lL]\??\s*", rest):
        count = evaluate(rest[found.end() :], debugger)
    else:
        end = evaluate(rest, debugger)
        if end < start:
            raise Problem(f"Range error in '{command_name} {arguments}': it ends before it starts")
        count = (end - start) // size + 1
    if count * size > _MAX_BYTES:
        raise Problem(
            f"Range error in '{command_name} {arguments}': more than {_MAX_BYTES:#x} bytes at once"
        )
    return start, count


def _known(debugger: Debugger, start: int, size: int) -> dict[int, bytes]:
    return dict(debugger.target.pieces(start, size))


class _Bytes:
    """Bytes of a range, with holes."""

    def __init__(self, debugger: Debugger, start: int, size: int) -> None:
        self.start = start
        self.data = bytearray(size)
        self.is_known = bytearray(size)
        for at, piece in debugger.target.pieces(start, size):
            offset = at - start
            end = min(offset + len(piece), size)
            self.data[offset:end] = piece[: end - offset]
            self.is_known[offset:end] = b"\x01" * (end - offset)

    def element(self, offset: int, size: int) -> int | None:
        """A number, or `None` where not all of it is known."""
        if not all(self.is_known[offset : offset + size]) or offset + size > len(self.data):
            return None
        return int.from_bytes(self.data[offset : offset + size], "little")

    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not any(self.is_known)


@command(
    "db", "dw", "dd", "dq", "dc", "df", "dD", "dp",
    usage="[ADDRESS] [L COUNT | END]",
    summary="memory as bytes, words, doublewords, quadwords, characters, float, double, pointers",
    example="dq @rsp L8",
    theme=_THEME,
)  # fmt: skip
def dump_numbers(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Memory as numbers."""
    name = {"dp": "dq" if debugger.pointer_bytes == 8 else "dd"}.get(name, name)
    size, per_line, default = _NUMBERS[name]
    start, count = _range(debugger, arguments, size, default, name)
    known = _Bytes(debugger, start, count * size)
    for first in range(0, count, per_line):
        number = min(per_line, count - first)
        elements = [known.element((first + i) * size, size) for i in range(number)]
        yield _line(debugger, name, start + first * size, elements, per_line)
    debugger.last_dump = (name, start + count * size)
    if known.is_empty():
        yield str(missing("memory"))


def _line(
    debugger: Debugger, name: str, address: int, elements: list[int | None], per_line: int
) -> str:
    texts = [_element(debugger, name, element) for element in elements]
    head = f"{debugger.target.address(address)}  "
    if name == "db":
        middle = " ".join(texts[:8]) + ("-" if len(texts) > 8 else " ") + " ".join(texts[8:])
        letters = "".join(_letter(element) for element in elements)
        return f"{head}{middle:<{per_line * 3 - 1}}  {letters}"
    if name == "dc":
        data = b"".join(struct.pack("<I", element or 0) for element in elements)
        return f"{head}{' '.join(texts):<35}  {''.join(_letter(byte) for byte in data)}"
    return f"{head}{' '.join(texts)}"


def _letter(byte: int | None) -> str:
    if byte is None:
        return "?"
    return chr(byte) if 0x20 <= byte < 0x7F else "."


def _element(debugger: Debugger, name: str, element: int | None) -> str:
    size = _NUMBERS[name][0]
    if element is None:
        return "????????`????????" if name == "dq" else "?" * (size * 2)
    if name == "df":
        return f"{struct.unpack('<f', struct.pack('<I', element))[0]:16.8g}"
    if name == "dD":
        return f"{struct.unpack('<d', struct.pack('<Q', element))[0]:24.16g}"
    if name == "dq":
        return f"{element >> 32:08x}`{element & 0xFFFFFFFF:08x}"
    _ = debugger
    return f"{element:0{size * 2}x}"


@command(
    "da", "du",
    usage="[ADDRESS] [L COUNT]",
    summary="a text in memory, of bytes (da) or of UTF-16 (du), up to its zero",
    example="da poi(@rsp)",
    theme=_THEME,
)  # fmt: skip
def dump_text(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Text up to its end."""
    size = 1 if name == "da" else 2
    start, count = _range(debugger, arguments, size, _MAX_TEXT, name)
    text, used, is_known = _text(debugger, start, count, size)
    if not is_known:
        yield f'{debugger.target.address(start)}  "????????"'
        yield str(missing("memory"))
        return
    width = 32
    for at in range(0, max(len(text), 1), width):
        yield f'{debugger.target.address(start + at * size)}  "{text[at : at + width]}"'
    debugger.last_dump = (name, start + used)


def _text(debugger: Debugger, start: int, count: int, size: int) -> tuple[str, int, bool]:
    """Text, bytes of it, whether its first byte is known."""
    known = _Bytes(debugger, start, count * size)
    units: list[int] = []
    for index in range(count):
        unit = known.element(index * size, size)
        if not unit:
            break
        units.append(unit)
    is_known = known.element(0, size) is not None
    if size == 1:
        text = bytes(units).decode("utf-8", errors="replace")
    else:
        text = b"".join(struct.pack("<H", unit) for unit in units).decode("utf-16-le", "replace")
    return text, (len(units) + 1) * size, is_known


@command(
    "ds", "dS",
    usage="ADDRESS",
    summary="a counted string of Windows: STRING (ds), UNICODE_STRING (dS)",
    example="dS poi(@$peb+20)+60",
    theme=_THEME,
)  # fmt: skip
def dump_counted(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """A `STRING` or `UNICODE_STRING`: length, capacity, pointer."""
    start = evaluate(arguments, debugger)
    text = counted_string(debugger, start, is_wide=name == "dS")
    if text is None:
        raise missing("memory")
    pointer = debugger.target.read_number(start + debugger.pointer_bytes)
    yield f'{debugger.target.address(pointer)}  "{text}"'


def counted_string(debugger: Debugger, address: int, *, is_wide: bool) -> str | None:
    """The text of a `STRING` or `UNICODE_STRING`; `None` when it is not in the dump."""
    length = debugger.target.read_number(address, 2)
    pointer = debugger.target.read_number(address + debugger.pointer_bytes)
    if length is None or pointer is None:
        return None
    if length == 0:
        return ""
    data = debugger.target.read(pointer, length)
    if data is None:
        return None
    return data.decode("utf-16-le" if is_wide else "utf-8", errors="replace")


@command(
    "dps", "dds", "dqs", "dpa", "dpu",
    usage="[ADDRESS] [L COUNT]",
    summary="pointers in memory, and the symbol (dps) or the text (dpa, dpu) that each leads to",
    example="dps @rsp L20",
    theme=_THEME,
)  # fmt: skip
def dump_pointers(debugger: Debugger, name: str, arguments: str) -> Iterable[str]:
    """Pointers and what is behind them."""
    size = {"dds": 4, "dqs": 8}.get(name, debugger.pointer_bytes)
    start, count = _range(debugger, arguments, size, 16, name)
    known = _Bytes(debugger, start, count * size)
    for index in range(count):
        word = known.element(index * size, size)
        head = debugger.target.address(start + index * size)
        if word is None:
            yield f"{head}  {'?' * 8 + '`' + '?' * 8 if size == 8 else '?' * 8}"
            continue
        text = f"{word >> 32:08x}`{word & 0xFFFFFFFF:08x}" if size == 8 else f"{word:08x}"
        yield f"{head}  {text} {_behind(debugger, name, word)}".rstrip()
    debugger.last_dump = (name, start + count * size)
    if known.is_empty():
        yield str(missing("memory"))


def _behind(debugger: Debugger, name: str, word: int) -> str:
    if name in {"dpa", "dpu"}:
        text, _used, is_known = _text(debugger, word, 64, 1 if name == "dpa" else 2)
        return f'"{text}"' if is_known and text else ""
    return debugger.target.symbol_text(word) or ""


@command(
    "s",
    usage="[-b|-w|-d|-q|-a|-u] ADDRESS L COUNT VALUES",
    summary="search memory for bytes, numbers or a text (-a, -u)",
    example='s -a 0 L?7fffffffffff "error"',
    theme=_THEME,
)
def search(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Search memory."""
    kind = "b"
    if found := re.match(r"-(?:\[\w+\])?([bwdqau])\s+", arguments):
        kind, arguments = found.group(1), arguments[found.end() :]
    start, rest = evaluate_prefix(arguments, debugger)
    if found := re.match(r"[lL]\??\s*", rest):
        size, rest = evaluate_prefix(rest[found.end() :], debugger)
        if kind in "wdq":
            size *= {"w": 2, "d": 4, "q": 8}[kind]
    else:
        end, rest = evaluate_prefix(rest, debugger)
        size = end - start + 1
    pattern = _pattern(debugger, kind, rest)
    answer = debugger.target.session.ask(
        "search",
        address=start,
        size=min(size, (1 << 64) - 1 - start),
        pattern=pattern.hex(),
        max=1024,
    )
    for hit in answer["hits"]:
        known = _Bytes(debugger, hit, 16)
        elements = [known.element(index, 1) for index in range(16)]
        yield _line(debugger, "db", hit, elements, 16)
    if answer["is_cut"]:
        yield "(there is more than was searched or shown; give a smaller range)"


def _pattern(debugger: Debugger, kind: str, text: str) -> bytes:
    text = text.strip()
    if kind in "au" or text.startswith('"'):
        word, _rest = split_word(text)
        return word.encode("utf-16-le" if kind == "u" else "utf-8")
    size = {"b": 1, "w": 2, "d": 4, "q": 8}[kind]
    data = b""
    while text:
        if text.startswith("'") and len(text) > 2:
            value, text = ord(text[1]), text[3:].strip()
        else:
            word, text = split_word(text)
            value = evaluate(word, debugger)
        if value >= 1 << (size * 8):
            raise Problem(f"Range error: {value:#x} has more than {size} bytes")
        data += value.to_bytes(size, "little")
    if not data:
        raise Problem('What to search for is missing: s -a @rsp L?1000 "text"')
    return data


@command(
    "?",
    usage="EXPRESSION",
    summary="evaluate an expression; numbers are hexadecimal",
    example="? poi(@rsp+8) & 0n255",
    theme=_THEME,
)
def evaluate_command(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Evaluate."""
    if not arguments:
        yield from debugger.start(".help")
        return
    if arguments.startswith("?"):
        raise Problem("C++ expressions are not supported; dt shows variables: dt node")
    value = evaluate(arguments, debugger)
    number = signed(value, 8)
    is_narrow = debugger.pointer_bytes == 4 and value < 1 << 32
    yield f"Evaluate expression: {number} = {f'{value:08x}' if is_narrow else _wide(value)}"


def _wide(value: int) -> str:
    return f"{value >> 32:08x}`{value & 0xFFFFFFFF:08x}"


@command(
    ".formats",
    usage="EXPRESSION",
    summary="a number in all notations",
    example=".formats 61626364",
    theme=_THEME,
)
def formats(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """A number in all notations."""
    value = evaluate(arguments, debugger)
    is_wide = debugger.pointer_bytes == 8 or value >= 1 << 32
    size = 8 if is_wide else 4
    data = value.to_bytes(8, "little")[:size]
    yield "Evaluate expression:"
    yield f"  Hex:     {_wide(value) if is_wide else f'{value:08x}'}"
    yield f"  Decimal: {signed(value, size)}"
    yield f"  Octal:   {value:0{22 if is_wide else 11}o}"
    digits = f"{value:0{size * 8}b}"
    yield f"  Binary:  {' '.join(digits[i : i + 8] for i in range(0, len(digits), 8))}"
    yield f"  Chars:   {''.join(_letter(byte) for byte in reversed(data))}"
    yield f"  Time:    {_time(value)}"
    low = struct.unpack("<f", data[:4])[0]
    high = struct.unpack("<f", data[4:])[0] if is_wide else 0.0
    yield f"  Float:   low {low:g} high {high:g}"
    double = struct.unpack("<d", value.to_bytes(8, "little"))[0]
    yield f"  Double:  {double:g}"


def _time(value: int) -> str:
    try:
        if value < 1 << 32:
            moment = dt.datetime.fromtimestamp(value, tz=dt.timezone.utc)
        else:
            start = dt.datetime(1601, 1, 1, tzinfo=dt.timezone.utc)
            moment = start + dt.timedelta(microseconds=value // 10)
    except (OverflowError, ValueError, OSError):
        return "***** Invalid"
    return f"{moment:%a %b %d %H:%M:%S %Y} UTC"
