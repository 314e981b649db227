"""Messages with their changing parts replaced, so that equal failures give equal text."""

from __future__ import annotations

import re

__all__ = ["parameterised"]

_MAX_CHARS = 2048

# The order matters: what looks like several of these is the first one.
_PARAMETERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), placeholder)
    for pattern, placeholder in (
        (r"\b[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+", "<url>"),
        (r"[a-z0-9._%+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}", "<email>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (
            r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:z|[+-]\d\d:?\d\d)?)?\b",
            "<date>",
        ),
        (r"\b\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?\b", "<time>"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "<ip>"),
        (r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])", "<ip>"),
        (r"(?<![\w/])(?:[a-z]:)?(?:[\\/][^\s'\"<>|:*?,;()\\/]+){2,}[\\/]?", "<path>"),
        (r"\b0x[0-9a-f]+\b", "<hex>"),
        (r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,128}\b", "<hex>"),
        (r"'(?:[^'\\\n]|\\.){1,512}'", "<quoted>"),
        (r"\"(?:[^\"\\\n]|\\.){1,512}\"", "<quoted>"),
        (r"(?<![\w.])[+-]?\d+\.\d+(?:e[+-]?\d+)?", "<number>"),
        (r"(?<![a-z_0-9])[+-]?\d+(?:e[+-]?\d+)?", "<number>"),
    )
)
_SPACE = re.compile(r"\s+")


def parameterised(message: str) -> str:
    """Return the message with numbers, addresses, names in quotes, paths and times replaced.

    Args:
        message: Cut at 2,048 characters.
    """
    text = message[:_MAX_CHARS]
    for pattern, placeholder in _PARAMETERS:
        text = pattern.sub(placeholder, text)
    return _SPACE.sub(" ", text).strip()
