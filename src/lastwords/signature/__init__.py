"""From the frames of a report to its signature.

`sign(from_report(report, analysis))` gives the readable signature, the keys that group the report,
and a note for every step. The algorithm is versioned; `v1` is frozen. Everything here is pure: no
I/O but reading the word lists that are shipped with the package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastwords.signature.explain import as_document, as_lines
    from lastwords.signature.frames import (
        REQUESTED,
        FrameKind,
        PythonExceptionInput,
        SignatureFrame,
        SignatureInput,
        from_analysis,
        from_exception,
        from_report,
    )
    from lastwords.signature.lists import is_plumbing
    from lastwords.signature.result import Key, KeyKind, Note, SignatureResult
    from lastwords.signature.v1 import ABNORMAL_END, VERSION, FrameRole, sign
else:
    _PLACES = {
        "ABNORMAL_END": "lastwords.signature.v1",
        "FrameKind": "lastwords.signature.frames",
        "FrameRole": "lastwords.signature.v1",
        "Key": "lastwords.signature.result",
        "KeyKind": "lastwords.signature.result",
        "Note": "lastwords.signature.result",
        "PythonExceptionInput": "lastwords.signature.frames",
        "REQUESTED": "lastwords.signature.frames",
        "SignatureFrame": "lastwords.signature.frames",
        "SignatureInput": "lastwords.signature.frames",
        "SignatureResult": "lastwords.signature.result",
        "VERSION": "lastwords.signature.v1",
        "as_document": "lastwords.signature.explain",
        "as_lines": "lastwords.signature.explain",
        "from_analysis": "lastwords.signature.frames",
        "from_exception": "lastwords.signature.frames",
        "from_report": "lastwords.signature.frames",
        "is_plumbing": "lastwords.signature.lists",
        "sign": "lastwords.signature.v1",
    }

    def __getattr__(name: str) -> object:
        """Import a part of the room when it is first named: pages need the lists alone."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_PLACES[name]), name)


__all__ = [
    "ABNORMAL_END",
    "REQUESTED",
    "VERSION",
    "FrameKind",
    "FrameRole",
    "Key",
    "KeyKind",
    "Note",
    "PythonExceptionInput",
    "SignatureFrame",
    "SignatureInput",
    "SignatureResult",
    "as_document",
    "as_lines",
    "from_analysis",
    "from_exception",
    "from_report",
    "is_plumbing",
    "sign",
]
