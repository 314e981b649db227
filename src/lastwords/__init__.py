"""Crash reports for Python applications and the native code inside them.

`install()` is all that an application needs; `annotate()` adds metadata to its reports,
`breadcrumb()` what happened before; `dump()` writes one without a crash; `on_dump()` adds memory
and streams to dumps.
"""

from __future__ import annotations

from lastwords.errors import LastwordsWarning
from lastwords.sdk import (
    DumpExtra,
    Installation,
    annotate,
    breadcrumb,
    dump,
    install,
    on_dump,
    refresh_on_dump,
    uninstall,
)

__all__ = [
    "DumpExtra",
    "Installation",
    "LastwordsWarning",
    "annotate",
    "breadcrumb",
    "dump",
    "install",
    "on_dump",
    "refresh_on_dump",
    "uninstall",
]

__version__ = "0.1.0"
