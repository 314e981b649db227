"""One frame of a stack as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.debug.target import without_parameters

if TYPE_CHECKING:
    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__ = ["call_site", "place_of", "source_text"]


def place_of(debugger: Debugger, frame: Frame) -> str:
    """`mod!function+0x12`, without the source."""
    if frame.kind == "python":
        return f"Python!{frame.function or '<unknown>'}"
    name = without_parameters(frame.function) if frame.function else None
    if name is None and frame.kind == "native":
        text = debugger.target.symbol_text(frame.instruction)
        if text is not None and "!" in text:
            return _moved(text, frame.ip - frame.instruction)
        if frame.module is not None:
            into = frame.ip - frame.module.base
            return f"{frame.module.name}+{into:#x}" if into else frame.module.name
        unloaded = frame.facts.get("unloaded")
        if unloaded:
            return f"<Unloaded_{unloaded['name']}>+{unloaded['offset'] or 0:#x}"
        return f"0x{debugger.target.address(frame.ip)}"
    module = f"{frame.module.name}!" if frame.module else ""
    offset = f"+{frame.offset:#x}" if frame.offset else ""
    return f"{module}{name or '<unknown>'}{offset}"


def _moved(text: str, distance: int) -> str:
    """A symbol was looked up within the call; its offset is told of where the call returns."""
    name, plus, offset = text.rpartition("+0x")
    if not plus:
        return f"{text}+{distance:#x}" if distance else text
    return f"{name}+{int(offset, 16) + distance:#x}"


def source_text(frame: Frame) -> str:
    """` [file @ line]`, or nothing."""
    return f" [{frame.file} @ {frame.line or 0}] " if frame.file else ""


def call_site(debugger: Debugger, frame: Frame, *, are_lines_shown: bool) -> str:
    """The last column of a stack."""
    source = source_text(frame) if are_lines_shown else ""
    return f"{place_of(debugger, frame)}{source}".rstrip()
