"""Crash reports for Python applications and the native code inside them.

`install()` is all that an application needs; `annotate()` adds metadata to its reports, `dump()`
writes one without a crash.
"""

from __future__ import annotations

from lastwords.errors import LastwordsWarning
from lastwords.sdk import Installation, annotate, dump, install, uninstall

__all__ = ["Installation", "LastwordsWarning", "annotate", "dump", "install", "uninstall"]

__version__ = "0.1.0"
