"""How the SDK says that something is wrong: a warning and a log entry, never an exception."""

from __future__ import annotations

import sys

from lastwords.errors import LastwordsWarning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.errors import LastwordsError

__all__ = ["log", "say", "warn"]


def warn(problem: LastwordsError) -> None:
    """Warn about a problem at the line of the application that called the SDK.

    Python's `-W error` turns warnings into exceptions; here the text goes to stderr instead.
    """
    text = problem.message + (f" (hint: {problem.hint})" if problem.hint else "")
    log("warning", "%s: %s", problem.code, text)
    try:
        import warnings

        warnings.warn(f"{problem.code}: {text}", LastwordsWarning, stacklevel=_caller_level())
    except Exception:  # noqa: BLE001  (SDK border: whatever filters and hooks the host has)
        say(f"{problem.code}: {text}")


def _caller_level() -> int:
    """How many frames lie between `warnings.warn` and the application."""
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001  (`inspect` costs 15 ms)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("lastwords"):
        frame = frame.f_back
        level += 1
    return level


def say(text: str) -> None:
    """Write one line to stderr; never raises."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"lastwords: {text}\n")
            sys.stderr.flush()
    except Exception:  # noqa: BLE001  (SDK border: stderr may be closed or replaced)
        return


def log(level: str, message: str, *arguments: object) -> None:
    """Log to `lastwords.sdk` if the application uses `logging` at all; never raises.

    Importing `logging` costs 20 ms; without the application's import there is no handler either.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    try:
        logger = logging.getLogger("lastwords")
        if not logger.handlers:  # else Python prints the entry to stderr beside the warning
            logger.addHandler(logging.NullHandler())
        getattr(logging.getLogger("lastwords.sdk"), level)(message, *arguments)
    except Exception:  # noqa: BLE001  (SDK border: foreign handlers)
        return
