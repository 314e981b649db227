"""MASM expressions, as cdb's commands take them.

Numbers are hexadecimal unless told otherwise (`0n10`, `0x10`, `0y101`, `0t17`), a backtick may
stand in them. `@rip` or `rip` is a register of the chosen frame, `mod!name` a symbol, `mod` a
module's base. Operators, weakest first: `|`, `^`, `&`, comparisons, shifts, `+ -`, `* / %`, unary
`- ~ + poi by wo dwo qwo hi low`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lastwords.debug.numbers import signed, truncate
from lastwords.debug.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Values", "evaluate", "evaluate_prefix"]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>@!"[^"]*")
      | (?P<number>0n[0-9]+|0y[01]+|0t[0-7]+|0x[0-9a-fA-F`]+|[0-9a-fA-F][0-9a-fA-F`]*h?)
            (?![\w!:.$<~])
      | (?P<name>@{0,2}\$?[A-Za-z_?][\w$?]*
                 (?:![^\s()+\-*/&|^,\[\]]+(?:<[^>]*>+[^\s()+\-*/&|^,\[\]]*)?)?
            |@{1,2}\$?\w+|\$\w+)
      | (?P<sign><<|>>|==|!=|<=|>=|&&|\|\||[-+*/%&|^()~<>\[\]])
    )""",
    re.VERBOSE,
)
_MAX_DEPTH = 64
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("|", "or", "||"),
    ("^", "xor"),
    ("&", "and", "&&"),
    ("==", "=", "!=", "<", ">", "<=", ">="),
    ("<<", ">>", ">>>"),
    ("+", "-"),
    ("*", "/", "%", "mod"),
)
_READERS = {"by": 1, "wo": 2, "dwo": 4, "qwo": 8}
_UNARY = {"-", "+", "~", "not", "poi", "hi", "low", *_READERS}


class Values(Protocol):
    """Where names and memory of an expression come from."""

    @property
    def pointer_bytes(self) -> int:
        """Bytes of an address."""

    def register(self, name: str) -> int | None:
        """A register or pseudo-register; `None` for what is none."""

    def symbol(self, name: str) -> int | None:
        """The address of a symbol or module; `None` for what is none."""

    def read_number(self, address: int, size: int | None = None) -> int | None:
        """A number in memory; `None` when the dump does not hold it."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    end: int


def evaluate(text: str, values: Values) -> int:
    """Evaluate a whole text.

    Raises:
        Problem: It is no expression, or names what is not there.
    """
    value, rest = evaluate_prefix(text, values)
    if rest:
        raise Problem(f"Extra character error in '{rest}'")
    return value


def evaluate_prefix(text: str, values: Values) -> tuple[int, str]:
    """Evaluate as much as is an expression; gives the rest too.

    Raises:
        Problem: As `evaluate()`.
    """
    parser = _Parser(text, values)
    value = parser.level(0, 0)
    return truncate(value, 8), text[parser.position :].strip()


class _Parser:
    def __init__(self, text: str, values: Values) -> None:
        self.text = text
        self.values = values
        self.position = 0

    def peek(self) -> _Token | None:
        found = _TOKEN.match(self.text, self.position)
        if not found or found.end() == self.position:
            return None
        kind = found.lastgroup or ""
        return _Token(kind, found.group(kind), found.end())

    def level(self, level: int, depth: int) -> int:
        if depth > _MAX_DEPTH:
            raise Problem("The expression is nested too deep")
        if level == len(_LEVELS):
            return self.unary(depth)
        left = self.level(level + 1, depth)
        while (token := self.peek()) and self._is_operator(token, level):
            self.position = token.end
            right = self.level(level + 1, depth)
            left = _apply(token.text.lower(), left, right)
        return left

    def _is_operator(self, token: _Token, level: int) -> bool:
        return token.kind in {"sign", "name"} and token.text.lower() in _LEVELS[level]

    def unary(self, depth: int) -> int:
        token = self.peek()
        if token is None:
            where = self.text[self.position :].strip()
            message = f"Syntax error in '{where}'" if where else "Missing operand"
            raise Problem(f"{message}; an expression is wanted, as `poi(@rsp+8)`")
        word = token.text.lower()
        if token.kind in {"sign", "name"} and word in _UNARY and self._is_function(token, word):
            self.position = token.end
            return self._unary_value(word, self.unary(depth + 1))
        if token.text in {"(", "["}:
            self.position = token.end
            value = self.level(0, depth + 1)
            closing = self.peek()
            if closing is None or closing.text not in {")", "]"}:
                raise Problem(f"A closing parenthesis is missing in '{self.text.strip()}'")
            self.position = closing.end
            return value
        self.position = token.end
        return self._operand(token)

    def _is_function(self, token: _Token, word: str) -> bool:
        """`by` alone may be a symbol: functions stand before a parenthesis."""
        return token.kind == "sign" or word == "not" or self.text[token.end :].lstrip()[:1] == "("

    def _unary_value(self, word: str, value: int) -> int:
        simple: dict[str, Callable[[int], int]] = {
            "-": lambda x: -x,
            "+": lambda x: x,
            "~": lambda x: ~x,
            "not": lambda x: int(truncate(x, 8) == 0),
            "hi": lambda x: (x >> 16) & 0xFFFF,
            "low": lambda x: x & 0xFFFF,
        }
        if word in simple:
            return simple[word](value)
        size = _READERS.get(word, self.values.pointer_bytes)
        address = truncate(value, 8)
        found = self.values.read_number(address, size)
        if found is None:
            raise Problem(f"Memory access error at '{address:#x}': it is not in the dump")
        return found

    def _operand(self, token: _Token) -> int:
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "quoted":
            return self._symbol(token.text[3:-1])
        if token.kind == "sign":
            raise Problem(f"Syntax error at '{token.text}' in '{self.text.strip()}'")
        name = token.text
        if name.startswith(("@", "$")):
            value = self.values.register(name.lstrip("@").lower())
            if value is None and name.startswith("@@"):
                return self._symbol(name[2:])
            if value is None:
                raise Problem(f"Bad register error at '{name}': it is not known in this frame")
            return value
        if "!" not in name:
            value = self.values.register(name.lower())
            if value is not None:
                return value
        return self._symbol(name)

    def _symbol(self, name: str) -> int:
        value = self.values.symbol(name)
        if value is None:
            raise Problem(f"Couldn't resolve error at '{name}'")
        return value


def _number(text: str) -> int:
    plain = text.replace("`", "").lower()
    for prefix, base in (("0n", 10), ("0y", 2), ("0t", 8), ("0x", 16)):
        if plain.startswith(prefix):
            return int(plain[2:] or "0", base)
    return int(plain.removesuffix("h"), 16)


def _apply(operator: str, left: int, right: int) -> int:
    left, right = truncate(left, 8), truncate(right, 8)
    if operator in {"/", "%", "mod"}:
        if right == 0:
            raise Problem("Divide by zero")
        return left // right if operator == "/" else left % right
    if operator in {"<<", ">>", ">>>"}:
        if right >= 64:
            return 0
        return left << right if operator == "<<" else left >> right
    signed_left, signed_right = signed(left, 8), signed(right, 8)
    table: dict[str, Callable[[], int]] = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "&": lambda: left & right,
        "and": lambda: left & right,
        "&&": lambda: int(bool(left) and bool(right)),
        "|": lambda: left | right,
        "or": lambda: left | right,
        "||": lambda: int(bool(left) or bool(right)),
        "^": lambda: left ^ right,
        "xor": lambda: left ^ right,
        "==": lambda: int(left == right),
        "=": lambda: int(left == right),
        "!=": lambda: int(left != right),
        "<": lambda: int(signed_left < signed_right),
        ">": lambda: int(signed_left > signed_right),
        "<=": lambda: int(signed_left <= signed_right),
        ">=": lambda: int(signed_left >= signed_right),
    }
    return table[operator]()
