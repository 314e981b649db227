"""Names of native functions and modules without what differs between builds.

Symbols reach us demangled by different programs (GNU, LLVM, Microsoft's undname, Rust's), each of
which spells arguments, anonymous namespaces and lambdas its own way. A signature keeps the
qualified name alone: no return type, no arguments, template arguments collapsed to `<T>`, no
compiler suffixes, no hashes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

__all__ = ["function_name", "module_name"]

_MAX_CHARS = 2048
_MAX_FILE_NAME = 255

# GCC and LLVM clone suffixes, ELF symbol versions, PLT stubs.
_CLONE = re.compile(
    r"(?:\s*\[clone [^\]]*\]|\s*\(\.[a-z._0-9]+\)"
    r"|[.$](?:cold|part|constprop|isra|lto_priv|llvm|localalias|warm|hot|str|__uniq)(?:\.\d+)*"
    r"|@plt|@@?[A-Z][A-Za-z0-9_.]*)+$"
)
_OPENMP = re.compile(
    r"\.(?:_omp_fn|omp_outlined(?:_debug__)?|__omp_outlined(?:_debug)?__?)(?:\.\d+)*$"
)
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_BRACKET_HASH = re.compile(r"\[[0-9a-f]{6,}\]|\[abi:[^\]]*\]")
_ANONYMOUS = re.compile(
    r"\(anonymous (?:namespace|class|struct|union|enum)\)|\{anonymous\}|`anonymous[ -]namespace'"
    r"|_GLOBAL__N_\w*|`anonymous namespace\"|\(anon\)"
)
_INLINE_NAMESPACE = re.compile(r"\b(std|boost)::(?:__cxx11|__1|__ndk1|__Cr|_V2|__debug)::")
_MSVC_LAMBDA = re.compile(r"<lambda_[0-9a-f]+>(?:::)?")
_LLVM_LAMBDA = re.compile(r"'lambda\d*'(?:\([^()]*\))?")
_OLD_LAMBDA = re.compile(r"<lambda\([^()]*\)>|\$_\d+\b")
_PREFIX = re.compile(
    r"^(?:(?:non-)?virtual thunk to |covariant return thunk to |guard variable for "
    r"|transaction clone for |(?:public|protected|private): |static )+"
)

if TYPE_CHECKING:
    from collections.abc import Callable
_OPERATOR = re.compile(
    r"\boperator\s*(<=>|<<=|>>=|->\*|&&|\|\||\+\+|--|<<|>>|<=|>=|==|!=|\+=|-=|\*=|/=|%=|\^=|&=|\|="
    r"|->|\(\)|\[\]|[<>+\-*/%^&|~!=,])(?:\s+(?=<))?"
)
_LIBC_CPU_VARIANT = re.compile(
    r"^_*((?:w?mem|str|stp|wcs)[a-z]+?)(?:_chk)?_(?:avx|sse|ssse|evex|erms|generic|unaligned|sve|neon|simd|"
    r"ppc|power|z1\d|mops|thunderx|falkor|kunpeng|a64fx|asimd)\w*$"
)
_LIBC_INTERNAL = re.compile(
    r"^(?:IA__|__GI_)?(?:__libc_(?=malloc|free|calloc|realloc|memalign|fork))?"
)
_CYTHON = re.compile(r"^__pyx_(?:pw|pf|f|fuse_\d+_pw|fuse_\d+_pf|gb|mdef)_(.+)$")

_PYTHON_EXTENSION = re.compile(
    r"\.(?:cpython-\d+[a-z]*(?:-[\w-]+)?|abi\d+(?:t)?|cp\d+[a-z]*-[\w]+|pypy\d+[\w-]*)?(\.so|\.pyd)$"
)
_MODULE_SUFFIX = re.compile(r"(?:(?:[.-]\d+(?:\.\d+)+)?\.so(?:\.\d+)*|(?:\.[\dA-Z]+)*\.dylib)$")
_WINDOWS_SUFFIX = re.compile(r"\.(?:dll|exe|pyd|sys|ocx|drv|cpl)$", re.IGNORECASE)
_WHEEL_HASH = re.compile(r"-[0-9a-f]{8}(?:\..*)?$")
_INTERPRETER = re.compile(r"^(lib)?python(?:\d+(?:\.\d+)*)?t?d?m?$", re.IGNORECASE)

_CLOSERS = {"(": ")", "<": ">", "[": "]", "{": "}", "`": "'"}


@lru_cache(maxsize=2048)
def function_name(symbol: str) -> str:
    """Return the qualified name of a native function.

    Args:
        symbol: Demangled (or never mangled) symbol, from any demangler; cut at 2,048 characters.

    Never empty for a symbol that is not blank; what is not understood is returned as it is.
    """
    cleaned = " ".join(_clean(symbol[:_MAX_CHARS]).split())
    if cleaned.startswith(("-[", "+[")):
        return cleaned
    text = _OPENMP.sub("", _CLONE.sub("", cleaned))
    text = _BRACKET_HASH.sub("", _RUST_HASH.sub("", text))
    text = _ANONYMOUS.sub("{anon}", text)
    for pattern in (_LLVM_LAMBDA, _OLD_LAMBDA):
        text = pattern.sub("{lambda}", text)
    text = _MSVC_LAMBDA.sub("{lambda}::", text).replace("{lambda}::::", "{lambda}::")
    text = _INLINE_NAMESPACE.sub(r"\1::", _PREFIX.sub("", text))
    name = _Scanner(text).qualified_name() or text or cleaned
    return _plain_c(name)


def module_name(filename: str, package_of: Callable[[str], str | None] | None = None) -> str:
    """Return a module's name without version, platform tag, build hash and extension.

    Args:
        filename: Path or base name, of any platform.
        package_of: Finds the dotted package of a Python extension module by its path.

    `/x/victim/_physics.cpython-311-x86_64-linux-gnu.so` → `victim._physics`; `libc.so.6` → `libc`;
    `KERNELBASE.dll` → `kernelbase`.
    """
    path = _clean(filename[:_MAX_CHARS].removesuffix(" (deleted)")).replace("\\", "/")
    base = (path.rpartition("/")[2] or path)[-_MAX_FILE_NAME:]
    extension = _PYTHON_EXTENSION.search(base)
    if extension and (extension.group(1) == ".pyd" or extension.group(0) != ".so"):
        name = base[: extension.start()]
        package = package_of(path) if package_of else None
        return f"{package}.{name}" if package else name
    if _WINDOWS_SUFFIX.search(base):
        base = _WINDOWS_SUFFIX.sub("", base).lower()
    else:
        base = _MODULE_SUFFIX.sub("", base)
    base = _WHEEL_HASH.sub("", base) or base
    interpreter = _INTERPRETER.match(base)
    return f"{interpreter.group(1) or ''}python".lower() if interpreter else base


def _plain_c(name: str) -> str:
    """Map libc's internal and per-CPU names to the public ones, and Cython's to Python's."""
    name = _LIBC_INTERNAL.sub("", name) or name
    variant = _LIBC_CPU_VARIANT.match(name)
    if variant:
        return variant.group(1)
    cython = _CYTHON.match(name)
    return _cython_name(cython.group(1)) if cython else name


def _cython_name(mangled: str) -> str:
    """Decode `6victim_4grid_3step`: length-prefixed scopes, then a counter and the name."""
    parts: list[str] = []
    rest = mangled
    while True:
        match = re.match(r"_?(\d{1,3})", rest)
        if not match:
            break
        length = int(match.group(1))
        scope, after = rest[match.end() : match.end() + length], rest[match.end() + length :]
        if len(scope) < length or (not after.startswith("_") and not after[:1].isdigit()):
            rest = rest[match.end() :]
            break
        parts.append(scope)
        rest = after
    return ".".join([*parts, rest.lstrip("_") or "?"])


def _clean(text: str) -> str:
    """Replace characters that could disturb a terminal or a page (controls, bidi marks)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


class _Scanner:
    """Walks one demangled symbol once, with a bounded nesting depth."""

    _MAX_DEPTH = 64
    _MAX_SUBJECTS = 4

    def __init__(self, text: str, nesting: int = 0) -> None:
        self._nesting = nesting
        self._operators: list[str] = []
        self._text = _OPERATOR.sub(self._hide_operator, text)

    def qualified_name(self) -> str:
        out: list[str] = []
        position = 0
        text = self._text
        while position < len(text):
            char = text[position]
            if char in "(<{`":
                end = self._closing(position)
                piece, is_end = self._bracket(position, end, out)
                if is_end:
                    break
                out.append(piece)
                position = end + 1
                continue
            if char == " ":
                self._word_end(out)
            else:
                out.append(char)
            position += 1
        return self._show_operators("".join(out).strip().strip("*&").removeprefix("::"))

    def _bracket(self, start: int, end: int, out: list[str]) -> tuple[str, bool]:
        """Return what stands for a bracketed piece, and whether the name ends before it."""
        opener, inner = self._text[start], self._text[start + 1 : end]
        following = self._text[end + 1 : end + 3]
        if opener == "{":
            return _braced(inner), False
        if opener == "`":
            return ("{anon}" if "anonymous" in inner else "{local}"), False
        if opener == "<":
            return self._angle(inner, out), False
        if inner.startswith("*") and following.startswith("."):
            return f"({inner})", False
        if following == "::" or "".join(out) in {"decltype", "decltype(auto)", ""}:
            return "", False
        return "", True

    def _angle(self, inner: str, out: list[str]) -> str:
        is_after_scope = "".join(out[-2:]) == "::"
        if is_after_scope and not inner.startswith("impl "):
            del out[-2:]  # Rust's `write::<u8>`, which the older mangling leaves out altogether
            return ""
        if inner and (is_after_scope or not out):
            # Rust: `<alloc::vec::Vec<T> as core::ops::Index<I>>::index`, `ptr::<impl *mut T>::add`.
            if self._nesting >= self._MAX_SUBJECTS:
                return "<T>"
            subject = inner.removeprefix("impl ").split(" as ")[0].split(" for ")[-1]
            inside = _Scanner(self._show_operators(subject), self._nesting + 1)
            return inside.qualified_name() or "<T>"
        return "<T>"

    def _word_end(self, out: list[str]) -> None:
        """A space: what came before was a type, unless it is an `operator` with a word after it."""
        word = "".join(out)
        if word.endswith("operator") and not word[:-8][-1:].isalnum():
            out.append(" ")
        elif "operator " not in word:
            out.clear()

    def _closing(self, start: int) -> int:
        """Return the index of the bracket that closes the one at `start`, else the last index."""
        stack = [_CLOSERS[self._text[start]]]
        for index in range(start + 1, len(self._text)):
            char = self._text[index]
            if char == stack[-1] and not (char == ">" and self._text[index - 1] in "-="):
                stack.pop()
                if not stack:
                    return index
            elif char in "(<{`" and len(stack) < self._MAX_DEPTH:
                stack.append(_CLOSERS[char])
            elif char == ")" and ")" in stack:
                while stack.pop() != ")":
                    pass
                if not stack:
                    return index
        return len(self._text) - 1

    def _hide_operator(self, match: re.Match[str]) -> str:
        """Replace an operator's signs by one private-use character: they are no brackets."""
        self._operators.append(match.group(1))
        return f"operator{chr(0xE000 + min(len(self._operators) - 1, 0x7FF))}"

    def _show_operators(self, text: str) -> str:
        for index, signs in enumerate(self._operators[:0x800]):
            text = text.replace(chr(0xE000 + index), signs)
        return text


def _braced(inner: str) -> str:
    word = re.match(r"\{?(lambda|closure|unnamed|anon|shim|vtable|impl|constructor|block)", inner)
    return f"{{{word.group(1)}}}" if word else "{local}"
