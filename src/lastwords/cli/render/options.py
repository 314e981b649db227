"""What a page shows: apart from the page itself, so that choosing does not load rich."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.symbols.source_files import SourceFiles

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
        sources: Where the source lines of frames are; `None` = none are shown.
    """

    stacks: StackChoice = StackChoice.SUMMARY
    is_plumbing_shown: bool = False
    is_folded: bool = True
    are_handles_shown: bool = False
    sources: SourceFiles | None = None
