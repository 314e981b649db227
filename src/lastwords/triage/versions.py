"""The order of product versions, for products that follow no rule that we could rely on."""

from __future__ import annotations

import re

__all__ = ["is_newer", "version_order"]

_TOKEN = re.compile(r"\d+|[a-z]+")
_MAX_CHARS = 128
_BEFORE_RELEASE = {
    "dev": -4,
    "nightly": -4,
    "a": -3,
    "alpha": -3,
    "b": -2,
    "beta": -2,
    "c": -1,
    "rc": -1,
    "pre": -1,
    "preview": -1,
}
_END = (0, 0, "")


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key: numbers by value, `dev` < `alpha` < `beta` < `rc` < release < other words.

    Build metadata after `+` does not count (PEP 440 local versions, SemVer 2.0 item 10); `1.0` and
    `1.0.0` are equal. At most 128 characters are read.
    """
    text = version.strip().lower()[:_MAX_CHARS].partition("+")[0]
    tokens = _TOKEN.findall(text.removeprefix("v"))
    key: list[tuple[int, int, str]] = []
    for token in tokens:
        if token.isdigit():
            key.append((2, int(token), ""))
            continue
        while key and key[-1] == (2, 0, ""):
            key.pop()
        key.append((_BEFORE_RELEASE.get(token, 1), 0, token))
    while key and key[-1] == (2, 0, ""):
        key.pop()
    return (*key, _END)


def is_newer(version: str | None, than: str | None) -> bool:
    """Tell whether a version is newer than another; with an unknown one, never."""
    if version is None or than is None:
        return False
    return version_order(version) > version_order(than)
