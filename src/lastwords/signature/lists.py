"""The word lists that a signature is made with (`lists/*.txt`).

One entry per line: a normalised name, in which `*` stands for any characters; `#` starts a comment.
In `sentinel.txt` a label follows after `=>`. Entries of `system.txt` are module names, all others
are function names; an entry `module!function` holds for one module only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lastwords.signature.names import function_name, module_name

__all__ = ["LIST_NAMES", "WordList", "Words", "digest", "is_plumbing", "load", "load_one", "parse"]

LIST_NAMES = ("sentinel", "irrelevant", "plumbing", "prefix", "system")


@dataclass(frozen=True, slots=True)
class WordList:
    """Names and patterns of one list, each with its label.

    Args:
        exact: Name → label ("" when there is none).
        patterns: Expression and label, in the order of the file.
        any_pattern: All of them in one, because most names match none.
    """

    exact: dict[str, str] = field(default_factory=dict)
    patterns: tuple[tuple[str, str], ...] = ()
    any_pattern: re.Pattern[str] | None = None

    def find(self, name: str, module: str | None = None) -> str | None:
        """Return the entry's label ("" without one), or `None` when the name is not listed."""
        for candidate in (name, f"{module}!{name}") if module else (name,):
            if candidate in self.exact:
                return self.exact[candidate]
            if self.any_pattern is None or not self.any_pattern.fullmatch(candidate):
                continue
            for pattern, label in self.patterns:
                if re.fullmatch(pattern, candidate, re.DOTALL):
                    return label
        return None


@dataclass(frozen=True, slots=True)
class Words:
    """All lists of one version."""

    sentinel: WordList
    irrelevant: WordList
    plumbing: WordList
    prefix: WordList
    system: WordList


@lru_cache(maxsize=1)
def load() -> Words:
    """Read the lists that are shipped with the package."""
    return Words(**{name: load_one(name) for name in LIST_NAMES})


@lru_cache(maxsize=len(LIST_NAMES))
def load_one(name: str) -> WordList:
    """Read one of them."""
    return parse(_read(name))


@lru_cache(maxsize=2048)
def is_plumbing(function: str | None, module: str | None) -> bool:
    """Tell whether a native frame is glue between Python and native code.

    Args:
        function: The symbol as the analysis has it.
        module: The module's file name.
    """
    if function is None:
        return False
    name = module_name(module) if module else None
    return load().plumbing.find(function_name(function), name) is not None


def digest() -> str:
    """Return a hash of all entries; comments do not count."""
    import hashlib  # noqa: PLC0415  (3 ms that pages need not pay)

    entries = [f"{name}:{line}" for name in LIST_NAMES for line in _entries(_read(name))]
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:16]


def parse(text: str) -> WordList:
    """Parse the text of one list."""
    exact: dict[str, str] = {}
    patterns: list[tuple[str, str]] = []
    for line in _entries(text):
        name, _, label = (part.strip() for part in line.partition("=>"))
        if "*" in name:
            expression = ".*".join(re.escape(piece) for piece in name.split("*"))
            patterns.append((expression, label))
        else:
            exact[name] = label
    together = "|".join(pattern for pattern, _ in patterns)
    any_pattern = re.compile(together, re.DOTALL) if patterns else None
    return WordList(exact, tuple(patterns), any_pattern)


def _entries(text: str) -> list[str]:
    lines = (re.sub(r"(?:^|\s)#.*$", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def _read(name: str) -> str:
    return Path(__file__).with_name("lists").joinpath(f"{name}.txt").read_text("utf-8")
