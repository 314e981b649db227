"""`on_dump()`: a function of the application that says what its dumps hold besides.

No code of the application runs in a crashing process. The function runs while all is well; its
answer stands in the shared area, from where it goes into dumps.
"""

from __future__ import annotations

import _thread
import time

from lastwords.errors import CaptureError
from lastwords.sdk import native, problems
from lastwords.sdk.dump_extra import DumpExtra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["on_dump", "push_additions", "refresh_on_dump", "renew_lock"]

_SLOW_S = 1.0
_MOST_WAIT_S = 1.0
"""A thread waits so long for another one that asks the function, then goes on without."""


class _State:
    """The function and its last answer."""

    def __init__(self) -> None:
        self.lock = _thread.RLock()
        self.function: Callable[[DumpExtra], object] | None = None
        self.answer = DumpExtra()
        """Keeps the buffers alive that the native part has the addresses of."""
        self.is_running = False


_state = _State()


def on_dump(function: Callable[[DumpExtra], object] | None) -> None:
    """Have a function say what dumps of this process hold besides: memory and streams.

    It runs now, whenever `refresh_on_dump()` is called, and before each `lastwords.dump()`; never
    in a crash. A dump of a crash holds the ranges and streams of its last answer, and memory as it
    is at the crash; triage dumps hold nothing of it.

    Args:
        function: Called with a `DumpExtra`; what it returns does not matter. It should be quick
            (more than a second is warned about) and may be called by any thread. Replaces the
            function that was given before, and its answer. `None` = nothing more.

    Never raises: what the function raises is warned about (`on_dump_failed`), and its last answer
    stays.
    """
    try:
        _register(function)
    except Exception as error:  # noqa: BLE001  (SDK border)
        problems.warn(_failed(f"on_dump() failed with {type(error).__name__}"))


def refresh_on_dump() -> None:
    """Ask the function of `on_dump()` again, because the answer would be another one now.

    Nothing without such a function. Never raises.
    """
    try:
        _refresh()
    except Exception as error:  # noqa: BLE001  (SDK border)
        problems.warn(_failed(f"refresh_on_dump() failed with {type(error).__name__}"))


def push_additions() -> list[CaptureError]:
    """Hand the native part, after it was armed, the last answer; returns what failed."""
    if _state.function is None:
        return []
    problem = native.set_additions(_state.answer.memory, _state.answer.streams)
    return [] if problem is None else [problem]


def renew_lock() -> None:
    """In a forked child: a thread that is gone may have held the lock."""
    _state.lock = _thread.RLock()
    _state.is_running = False


def _failed(message: str) -> CaptureError:
    hint = "dumps hold what the function said before, if anything"
    return CaptureError("on_dump_failed", message, hint)


def _register(function: object) -> None:
    if function is not None and not callable(function):
        message = f"on_dump() was given a {type(function).__name__}, expected a function or None"
        problems.warn(_failed(message))
        return
    if not _state.lock.acquire(timeout=_MOST_WAIT_S):
        problems.warn(_failed("on_dump() did nothing: another thread is in the function"))
        return
    try:
        _state.function = function
        _keep(DumpExtra())
    finally:
        _state.lock.release()
    _refresh()


def _refresh() -> None:
    if _state.function is None:
        return
    lock = _state.lock
    if not lock.acquire(timeout=_MOST_WAIT_S):
        problems.warn(_failed("the function of on_dump() is still running in another thread"))
        return
    is_nested, _state.is_running = _state.is_running, True
    try:
        if not is_nested:  # else the function itself asks for a dump
            _ask(_state.function)
    finally:
        _state.is_running = is_nested
        lock.release()


def _ask(function: Callable[[DumpExtra], object]) -> None:
    extra = DumpExtra()
    started = time.monotonic()
    try:
        function(extra)
    except Exception as error:  # noqa: BLE001  (the application's code)
        problems.warn(_failed(f"the function of on_dump() raised {_words(error)}"))
        return
    took = time.monotonic() - started
    if took > _SLOW_S:
        problems.warn(_failed(f"the function of on_dump() took {took:.1f} s, expected 1 s at most"))
    for problem in extra.problems:
        problems.warn(problem)
    _keep(extra)


def _words(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # noqa: BLE001  (its `__str__` is foreign code)
        return type(error).__name__


def _keep(extra: DumpExtra) -> None:
    """The buffers of the old answer live until the native part has the new one."""
    problem = native.set_additions(extra.memory, extra.streams)
    if problem is None:
        _state.answer = extra
    else:
        problems.warn(problem)
