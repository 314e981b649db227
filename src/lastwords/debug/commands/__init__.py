"""The commands, in files by theme. Importing a file puts its commands into the table."""

from __future__ import annotations

import importlib

__all__ = ["THEMES", "load"]

THEMES = (
    "stack",
    "threads",
    "registers",
    "modules",
    "symbols",
    "memory",
    "disassembly",
    "variables",
    "process",
    "python",
    "analysis",
    "meta",
)
"""In the order of `.help`."""


def load() -> None:
    """Import every theme."""
    for theme in THEMES:
        importlib.import_module(f"lastwords.debug.commands.{theme}")
