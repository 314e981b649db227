"""The names and locks of session files, for processes that only begin or are curious.

The monitor fills, locks and removes them; `sessions` judges what is left over.
"""

from __future__ import annotations

import os

from lastwords.spool.writer import SESSIONS, new_report_id

__all__ = ["has_dead_sessions", "is_session_locked", "new_session_path"]

_MAX_PROBES = 32
_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def new_session_path(directory: str) -> str:
    """Return a name for the session file of a process that begins to be watched."""
    return os.path.join(directory, SESSIONS, new_report_id() + ".json")


def has_dead_sessions(directory: str) -> bool:
    """Whether a process seems to have ended together with its monitor; looks at 32 sessions.

    Cheap: a living session is locked, by the process or its monitor.
    """
    folder = os.path.join(directory, SESSIONS)
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json")]
    except OSError:
        return False
    return any(not is_session_locked(os.path.join(folder, name)) for name in names[:_MAX_PROBES])


def is_session_locked(path: str) -> bool:
    """Whether somebody holds the session file's lock, or it is too new to have one."""
    import fcntl

    try:
        fd = os.open(path, _FLAGS)  # NFS locks what is open for writing
    except OSError:
        return True  # removed meanwhile, or not ours to judge
    try:
        if os.fstat(fd).st_size == 0:
            return True  # the monitor locks it before it writes it
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
