"""What a page shows: apart from the page itself, so that choosing does not load rich."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.analyze.machine import MachineState
    from lastwords.cli.render.sources import SourceView
    from lastwords.signature.in_app import InApp

__all__ = ["StackChoice", "TextOptions"]


class StackChoice(str, Enum):
    """Whose stacks are shown."""

    SUMMARY = "summary"
    CRASHING = "crashing"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What the page shows.

    Attributes:
        stacks: Whose stacks.
        is_plumbing_shown: Whether the interpreter's call plumbing is shown.
        is_folded: Whether the rounds of a recursion are shown once.
        are_handles_shown: Whether open files and other handles are listed.
        in_app: Tells which frames are emphasised; `None` = none is.
        sources: Where the source lines of frames are; `None` = none are shown.
        machine: The crashing thread's registers and memory; `None` = neither is shown.
        are_registers_shown: Whether registers are.
        is_memory_shown: Whether memory and code are.
    """

    stacks: StackChoice = StackChoice.SUMMARY
    is_plumbing_shown: bool = False
    is_folded: bool = True
    are_handles_shown: bool = False
    in_app: InApp | None = None
    sources: SourceView | None = None
    machine: MachineState | None = None
    are_registers_shown: bool = False
    is_memory_shown: bool = False
