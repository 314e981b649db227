"""What a command says when it cannot do what was asked."""

from __future__ import annotations

__all__ = ["Problem", "missing"]


class Problem(Exception):  # noqa: N818  (a command's answer, no error of the program)
    """A command cannot be done; the text is shown and the session goes on."""


_KINDS: dict[str, tuple[str, str]] = {
    "heap": ("memory of the heap", "-ma (full), or -mp (miniplus) for private memory"),
    "memory": ("this memory", "-ma (full); -mp (miniplus) for private memory"),
    "handles": ("handles", "-mm, -mt or -ma by procdump or lastwords dump"),
    "memory_map": ("the memory map", "-mm, -mp or -ma by procdump or lastwords dump"),
    "thread_times": ("times of threads", "-mm or -ma by procdump or lastwords dump"),
    "exception": ("an exception", "one that was written when the process died"),
    "python": ("Python's threads", "one that lastwords wrote of a Python process"),
    "tasks": ("asyncio's tasks", "-ma (full)"),
    "locals": ("the values of Python's variables", "-ma (full) by lastwords dump"),
    "teb": ("thread environment blocks", "-mm or -ma of a Windows process"),
}


def missing(what: str, detail: str = "") -> Problem:
    """What the dump does not hold, and which kind of dump would."""
    name, kinds = _KINDS[what]
    extra = f" ({detail})" if detail else ""
    return Problem(f"This dump does not hold {name}{extra}. A dump that would: {kinds}.")
