"""What an application calls; everything here runs inside its process.

The law of this room: never raise into, block, slow down or change the application. What goes wrong
becomes a `LastwordsWarning`, an entry in the `lastwords.sdk` log, and a problem in the
`Installation` that `install()` returns.
"""

from __future__ import annotations

from lastwords.sdk.additions import on_dump, refresh_on_dump
from lastwords.sdk.annotations import annotate
from lastwords.sdk.breadcrumbs import breadcrumb
from lastwords.sdk.dump_extra import DumpExtra
from lastwords.sdk.installation import Installation, install, uninstall
from lastwords.sdk.on_demand import dump

__all__ = [
    "DumpExtra",
    "Installation",
    "annotate",
    "breadcrumb",
    "dump",
    "install",
    "on_dump",
    "refresh_on_dump",
    "uninstall",
]
