"""Crash reports for Python applications and the native code inside them.

`install()` is all that an application needs; `annotate()` adds metadata to its reports.
"""

from __future__ import annotations

from lastwords.sdk import annotate, install, uninstall

__all__ = ["annotate", "install", "uninstall"]

__version__ = "0.1.0"
