"""Crash reports for Python applications and the native code inside them.

`install()` is all that an application needs; `annotate()` adds metadata to its reports,
`breadcrumb()` what happened before; `dump()` writes one without a crash.
"""

from __future__ import annotations

from lastwords.errors import LastwordsWarning
from lastwords.sdk import Installation, annotate, breadcrumb, dump, install, uninstall

__all__ = [
    "Installation",
    "LastwordsWarning",
    "annotate",
    "breadcrumb",
    "dump",
    "install",
    "uninstall",
]

__version__ = "0.1.0"
