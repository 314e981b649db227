"""JSON writing for processes that are in trouble: no imports, no recursion limit, bounded.

`json` costs 7 ms in a bare interpreter because of `re`, and importing it may be impossible in a
dying one, so the SDK writes its few documents with this. Reading is left to `json`, in
`read_json_file()`.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DOCUMENT_BYTES", "json_text", "read_json_file"]

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""Larger files are not read as JSON documents."""

_MAX_DEPTH = 64
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_quote: Callable[[str], str]


def _quote_slowly(text: str) -> str:
    parts = []
    for char in text:
        code = ord(char)
        if char in _ESCAPES:
            parts.append(_ESCAPES[char])
        elif 0x20 <= code < 0x7F:
            parts.append(char)
        elif code < 0x10000:
            parts.append(f"\\u{code:04x}")
        else:
            high, low = divmod(code - 0x10000, 0x400)
            parts.append(f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}")
    return '"' + "".join(parts) + '"'


try:  # CPython's accelerator, there since 3.2; not promised by the language
    from _json import encode_basestring_ascii as _quote
except ImportError:
    _quote = _quote_slowly


def json_text(value: object, depth: int = 0) -> str:  # noqa: PLR0911  (one for each JSON type)
    """Write a value as one line of ASCII JSON.

    Args:
        value: Dictionaries with text keys, lists, tuples, text, numbers, booleans, `None`. Numbers
            that JSON has no form for (NaN, infinities) become text, other objects their type's
            name; nothing raises, whatever a value's own methods do.
        depth: How deep `value` lies; below 64 levels `null` is written.
    """
    if value is None or depth > _MAX_DEPTH:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    kind = type(value)
    if isinstance(value, str):
        return _quote(str.__str__(value))
    if isinstance(value, int):
        return int.__repr__(value) if -(2**63) <= value < 2**64 else _quote(hex(value))
    if isinstance(value, float):
        text = float.__repr__(value)
        return text if text.strip("-0123456789.e+") == "" else _quote(text)
    if isinstance(value, dict):
        items = [f"{_quote(str(k))}:{json_text(v, depth + 1)}" for k, v in value.items()]
        return "{" + ",".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([json_text(item, depth + 1) for item in value]) + "]"
    return _quote(f"<{kind.__name__}>")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_json_file(path: str) -> dict[str, object]:
    """Read a JSON object from a file.

    Raises:
        OSError: The file cannot be read, or is not a regular one: a pipe would be waited for.
        ValueError: It is larger than `MAX_DOCUMENT_BYTES`, not JSON, or not an object. Nesting
            deeper than the interpreter's recursion limit counts as not JSON.
    """
    import json

    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"{os.path.basename(path)} is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError(f"{os.path.basename(path)} is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{os.path.basename(path)} holds no JSON object")  # noqa: TRY004
    return value
