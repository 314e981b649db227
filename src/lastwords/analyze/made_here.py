"""Whether a dump was made on this machine, of what is installed here now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.report.analysis import Analysis

__all__ = ["made_here"]

_RESOLUTION_S = 1
"""A dump's header counts whole seconds (`MINIDUMP_HEADER.TimeDateStamp`)."""


def made_here(analysis: Analysis) -> float | None:
    """When the dump was made, if it was here: then source files may be where it says.

    It was here when a module was found at the path, with the id, that the dump has of it. Elsewhere
    a file of the same path may be anybody's.

    Returns:
        The end of that second, since 1970-01-01 UTC; `None` = elsewhere, or the time is not
        known.
    """
    created = analysis.lastwords.dump.created if analysis.lastwords else None
    is_here = any(
        one.symbols.status == "loaded" and one.symbols.path and one.symbols.path == one.code_file
        for one in analysis.modules
    )
    if not is_here or created is None:
        return None
    try:
        made_s = datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
    return made_s + _RESOLUTION_S
