"""Open files, sockets and other objects of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis

__all__ = ["handle_lines"]


def handle_lines(analysis: Analysis) -> Iterator[Text]:
    """A line for each: number, type, name; one that says so when the dump holds none."""
    if analysis.handles is None:
        yield Text("  not in this dump; a dump with handle data has them", style="dim")
        return
    rows = [(handle, clean(handle.type_name or "?")) for handle in analysis.handles]
    width = max((len(type_name) for _, type_name in rows), default=0)
    for handle, type_name in rows:
        number = "?" if handle.handle is None else str(handle.handle)
        name = clean(handle.object_name or "")
        yield Text(f"  {number:>6}  {type_name:<{width}}  {name}".rstrip())
