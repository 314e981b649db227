"""The three places where Python says that nobody caught an exception.

Each hook reports and then calls the hook that was there before, so the application prints, logs
and exits as if nothing had been added. A hook that somebody else wrapped meanwhile cannot be taken
out; it stays in the chain and only calls the previous one.
"""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from lastwords.sdk.python_report import PythonReporter

__all__ = ["HOOK_NAMES", "Hooks"]

HOOK_NAMES = ("sys.excepthook", "threading.excepthook", "sys.unraisablehook")

_NO_CRASH = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Hooks:
    """The hooks of one installation; `reporter` may be exchanged, `None` makes them idle."""

    def __init__(self, reporter: PythonReporter) -> None:
        self.reporter: PythonReporter | None = reporter
        self._previous = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        self._own = (self._on_exception, self._on_thread_exception, self._on_unraisable)
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._own

    def remove(self) -> None:
        """Put the previous hooks back where ours are still in place."""
        self.reporter = None
        if sys.excepthook == self._own[0]:
            sys.excepthook = self._previous[0]
        if threading.excepthook == self._own[1]:
            threading.excepthook = self._previous[1]
        if sys.unraisablehook == self._own[2]:
            sys.unraisablehook = self._previous[2]

    def are_in_place(self) -> bool:
        """Whether no other code has replaced or wrapped one of the hooks."""
        return (sys.excepthook, threading.excepthook, sys.unraisablehook) == self._own

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        reporter = self.reporter
        # An interactive session goes on after an exception: no crash.
        if reporter is not None and not hasattr(sys, "ps1") and not issubclass(kind, _NO_CRASH):
            name = _thread_name(None)
            reporter.report("python_exception", error, traceback, thread_name=name, is_final=True)
        self._previous[0](kind, error, traceback)

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        reporter = self.reporter
        if reporter is not None and not issubclass(args.exc_type, _NO_CRASH):
            name = _thread_name(args.thread)
            reporter.report(
                "thread_exception", args.exc_value, args.exc_traceback, thread_name=name
            )
        self._previous[1](args)

    def _on_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        reporter = self.reporter
        if reporter is not None and not issubclass(unraisable.exc_type, _NO_CRASH):
            reporter.report(
                "unraisable_exception",
                unraisable.exc_value,
                unraisable.exc_traceback,
                thread_name=_thread_name(None),
                description=_said(unraisable),
            )
        self._previous[2](unraisable)


def _thread_name(thread: threading.Thread | None) -> str | None:
    try:
        return str((thread or threading.current_thread()).name)[:200]
    except Exception:  # noqa: BLE001  (SDK border: `name` may be a property of a subclass)
        return None


def _said(unraisable: sys.UnraisableHookArgs) -> str:
    """What the interpreter would print; the object's own `__repr__` is not called."""
    source = unraisable.object
    name = getattr(source, "__qualname__", None)
    shown = name if isinstance(name, str) else f"a {type(source).__name__}"
    return f"{unraisable.err_msg or 'Exception ignored in'}: {shown}"[:500]
