"""The native part: find the monitor, arm and disarm it, hand it annotations."""

from __future__ import annotations

import os
import sys

from lastwords.errors import CODES, CaptureError
from lastwords.sdk.options import options_json
from lastwords.sdk.throw_note import ThrowNote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from lastwords.config import Settings

__all__ = [
    "add_breadcrumb",
    "after_fork",
    "arm",
    "disarm",
    "dump",
    "find_monitor",
    "note_exit",
    "set_additions",
    "set_annotation",
]

_MONITOR = "lastwords-monitor"
_armed: list[ModuleType] = []
"""The core, while it is armed."""


def find_monitor() -> str:
    """Return the path of the monitor's executable.

    Looked for in this order: `LASTWORDS_MONITOR`, the package's own `bin/`, next to the
    interpreter, the interpreter's scripts directory (asking `sysconfig` for that costs 1 ms, so
    it comes last).

    Raises:
        CaptureError: It is in none of these places (`capture_monitor_missing`).
    """
    told = os.environ.get("LASTWORDS_MONITOR")
    if told:
        if _is_executable(told):
            return os.path.abspath(told)
        raise CaptureError(
            "capture_monitor_missing",
            f"LASTWORDS_MONITOR is {told!r}, where no executable file is",
            "correct or unset LASTWORDS_MONITOR",
        )
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = [os.path.join(package, "bin"), os.path.dirname(sys.executable or "")]
    for place in places:
        path = os.path.join(place, _MONITOR)
        if _is_executable(path):
            return os.path.abspath(path)
    import sysconfig

    places.append(sysconfig.get_path("scripts"))
    path = os.path.join(places[-1], _MONITOR)
    if _is_executable(path):
        return path
    raise CaptureError(
        "capture_monitor_missing",
        f"{_MONITOR} was found neither in {', '.join(places)}",
        "reinstall the package: pip install --force-reinstall lastwords",
    )


class _Known:
    """What the core can compare its knowledge of CPython's structures with, while it arms.

    The newest frame is a generator's that C code resumed, of a function whose name is not its
    qualified name; below it is a plain function's (crates/py/src/calibration.rs).
    """

    __slots__ = ()

    def armed(self, core: ModuleType, arguments: dict[str, Any]) -> Iterator[int]:
        yield core.arm(**arguments)


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def arm(settings: Settings, spool_dir: str, report_base: str) -> int:
    """Start the monitor and install the signal handlers; returns the monitor's process id.

    Raises:
        CaptureError: Native crashes will not be reported; the message says why.
    """
    try:
        from lastwords import _native
    except ImportError as error:
        raise CaptureError(
            "capture_core_missing",
            f"the compiled core cannot be loaded, native crashes will not be reported: {error}",
            "install a wheel for this system: pip install --force-reinstall lastwords",
        ) from error
    monitor_path = find_monitor()
    try:
        _native.set_throw_note(ThrowNote)
        arguments = {
            "monitor_path": monitor_path,
            "spool_dir": spool_dir,
            "report_base": report_base.encode("ascii"),
            "attachments": list(settings.attachments),
            "budget_ms": int(settings.budget_s * 1000),
            "is_quiet": settings.quiet,
            "options": options_json(settings, spool_dir),
        }
        pid = next(_Known().armed(_native, arguments))
    except Exception as error:  # CoreError, or whatever a broken build raises
        raise CaptureError(
            "capture_not_armed",
            f"native crashes will not be reported: {_words(error)}",
            _hint(error),
        ) from error
    _armed[:] = [_native]
    return pid


def dump(order: str, budget_ms: int) -> dict[str, Any]:
    """Have a dump of this process made; returns what the monitor says of it.

    Raises:
        CaptureError: There is none; the message says why.
    """
    if not _armed:
        raise CaptureError(
            "not_armed",
            "nothing is armed that could make a dump",
            "call lastwords.install() first; its result says what is wrong when it cannot arm",
        )
    import json

    try:
        result = json.loads(_armed[0].dump(order.encode("ascii"), budget_ms))
    except _armed[0].CoreError as error:
        code = error.args[0] if error.args[0] in CODES else "dump_not_made"
        raise CaptureError(code, f"no dump was made: {_words(error)}", _hint(error)) from error
    return result if isinstance(result, dict) else {}


def _words(error: Exception) -> str:
    if len(error.args) == 3 and all(isinstance(part, str) for part in error.args[:2]):
        return f"{error.args[1]} ({error.args[0]})"  # CoreError: code, message, hint
    return f"{type(error).__name__}: {error}"


def _hint(error: Exception) -> str:
    hint = error.args[2] if len(error.args) == 3 else None
    return hint if isinstance(hint, str) else "Python exceptions are still reported"


def disarm() -> None:
    """Restore the signal handlers and end the monitor; nothing when not armed, never raises."""
    if _armed:
        core = _armed.pop()
        try:
            core.disarm()
        except Exception:  # noqa: BLE001  (SDK border)
            return


def set_annotation(
    key: str,
    value: str | float | bool | None,  # noqa: FBT001  (a value)
) -> CaptureError | None:
    """Hand one annotation to the native part; returns the problem if it does not take it."""
    if not _armed:
        return None
    try:
        if value is None:
            _armed[0].set_annotation(key, None, "string")
        elif isinstance(value, bool):
            _armed[0].set_annotation(key, "true" if value else "false", "bool")
        elif isinstance(value, str):
            safe = value.encode("utf-8", "replace").decode("utf-8")  # lone surrogates
            _armed[0].set_annotation(key, safe, "string")
        else:
            kind = "int" if isinstance(value, int) else "float"
            _armed[0].set_annotation(key, repr(value), kind)
    except Exception as error:  # noqa: BLE001  (SDK border)
        message = f"annotation {key!r} will be missing in native crashes: {_words(error)}"
        return CaptureError("annotation_rejected", message)
    return None


def add_breadcrumb(crumb: tuple[int, str, str, str, str]) -> bool:
    """Hand one breadcrumb (time, message, category, level, data) to the native part.

    Returns:
        Whether it was taken. Never raises, and tells nobody: a report lacks one line then.
    """
    try:
        if _armed:
            _armed[0].add_breadcrumb(*crumb)
            return True
    except Exception:  # noqa: BLE001  (SDK border)
        return False
    return False


def set_additions(
    memory: list[tuple[int, int]], streams: list[tuple[int, bytes]]
) -> CaptureError | None:
    """Hand the native part what is in every dump; returns the problem if it does not take it."""
    if not _armed:
        return None
    try:
        _armed[0].set_additions(memory, streams)
    except Exception as error:  # noqa: BLE001  (SDK border)
        message = f"dumps hold the last answer of on_dump(): {_words(error)}"
        return CaptureError("addition_rejected", message, _hint(error))
    return None


def note_exit() -> None:
    """Note that the interpreter finalises; never raises."""
    if _armed:
        try:
            _armed[0].note_exit()
        except Exception:  # noqa: BLE001  (SDK border)
            return


def after_fork() -> None:
    """Detach a forked child from its parent's monitor; never raises."""
    if _armed:
        try:
            _armed[0].after_fork_in_child()
        except Exception:  # noqa: BLE001  (SDK border)
            _armed.clear()
