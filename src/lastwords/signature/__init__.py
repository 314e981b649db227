"""From the frames of a report to its signature.

`sign(from_report(report, analysis))` gives the readable signature, the keys that group the report,
and a note for every step. The algorithm is versioned; `v1` is frozen. Everything here is pure: no
I/O but reading the word lists that are shipped with the package.
"""

from __future__ import annotations

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
