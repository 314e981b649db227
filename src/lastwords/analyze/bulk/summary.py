"""One dump in a line: why it died, and the first in-app frame of the stack that matters."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from lastwords.report.analysis import FrameKind, is_crash

if TYPE_CHECKING:
    from lastwords.report.analysis import Analysis, Frame
    from lastwords.signature.in_app import InApp

__all__ = ["Summary", "summary_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a table shows of one dump.

    Attributes:
        reason: The crash reason; `None` = nothing crashed.
        address: The fault's address, as text.
        function: Of the newest in-app frame, else of the newest frame; a place in a module where
            no function is known.
        file: Its source file.
        line: Its line.
        module: The file name of its module; `None` for Python.
        is_in_app: Whether the frame is in-app.
    """

    reason: str | None = None
    address: str | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    is_in_app: bool = False

    def to_json(self) -> bytes:
        """Pack it for another process."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_json(packed: bytes) -> Summary:
        """Unpack what `to_json` made."""
        return Summary(**json.loads(packed))


def summary_of(analysis: Analysis, in_app: InApp) -> Summary:
    """Summarise an analysis; of a dump without a crash, the thread that asked for it."""
    info = analysis.crash_info
    reason = info.type if info and is_crash(info.type) else None
    address = str(info.address) if info and reason and info.address is not None else None
    return replace(_place(analysis, in_app), reason=reason, address=address)


def _place(analysis: Analysis, in_app: InApp) -> Summary:
    frames = analysis.crashing_thread.frames if analysis.crashing_thread else ()
    for frame in frames:
        for inline in frame.inlines or ():
            if in_app.inline(frame, inline):
                return Summary(
                    function=inline.function,
                    file=inline.file,
                    line=inline.line,
                    module=frame.module,
                    is_in_app=True,
                )
        if in_app.frame(frame):
            return replace(_of_frame(frame), is_in_app=True)
    return _of_frame(frames[0]) if frames else Summary()


def _of_frame(frame: Frame) -> Summary:
    is_python = frame.kind is FrameKind.PYTHON
    place = None if frame.offset is None else str(frame.offset)
    if frame.module and frame.module_offset is not None:
        place = f"{frame.module}+{int(frame.module_offset):#x}"
    return Summary(
        function=frame.function or place,
        file=frame.file,
        line=frame.line,
        module=None if is_python else frame.module,
    )
