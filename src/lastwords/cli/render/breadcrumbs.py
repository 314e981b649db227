"""What the program said that it was doing, up to the crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text
from lastwords.report.breadcrumbs import breadcrumb_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis

__all__ = ["breadcrumb_lines"]

_SHOWN = 30


def breadcrumb_lines(analysis: Analysis) -> Iterator[Text]:
    """A line for each of the newest ones, the newest last."""
    found = analysis.lastwords.breadcrumbs if analysis.lastwords else None
    if not isinstance(found, list):
        return
    if len(found) > _SHOWN:
        yield Text(f"  {len(found) - _SHOWN} older ones: --json", style="dim")
    for entry in found[-_SHOWN:]:
        time, words = breadcrumb_words(entry)
        yield Text(f"  {clean(f'{time}  {words}' if time else words)}")
