"""Tells the monitor that the interpreter ends as it should: what comes after is no abnormal end.

The mark has to come before the first `atexit` function of the application, which may leave with
`os._exit()`, and not before the threads have ended that Python waits for: they may be the program.
"""

from __future__ import annotations

import atexit
import sys
import threading

from lastwords.sdk.native import note_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["note_exit_of_worker", "note_exits"]

_LAST = -(10**6)
"""Finalizers of `multiprocessing` with a lower priority run later."""


def note_exits() -> None:
    """Have the mark set at the end of this process; to be called once."""
    atexit.register(note_exit)
    # Called when the main thread has ended, before the other threads are waited for. `atexit` calls
    # last what was registered first, so registering once more then means being the first.
    register: Callable[..., object] | None = getattr(threading, "_register_atexit", None)  # 3.9
    if register is not None:
        try:
            register(atexit.register, note_exit)
        except Exception:  # noqa: BLE001  (SDK border: a private function, or Python ends already)
            return


def note_exit_of_worker() -> None:
    """Have the mark set in a process of `multiprocessing`, which leaves by `os._exit()`.

    To be called in each such process that is watched itself.
    """
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None:
        return
    util.Finalize(None, note_exit, exitpriority=_LAST)
