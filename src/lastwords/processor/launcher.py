"""Run as a script by `isolate.py`: limits itself, then becomes the given program.

`python -I -S launcher.py PARENT as=BYTES,cpu=SECONDS,fsize=BYTES,nofile=COUNT -- PROGRAM ARG…`

The limits hold before the program's first instruction, without code between fork and exec in the
server (which has threads). Beyond the limits: it dies with the server's worker, is the first to go
when memory runs out, dumps no core, gains no privileges, gives way to the collector, and, where
the kernel lets unprivileged users make namespaces, has no network. It imports nothing of lastwords.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_NICENESS = 5
_RESOURCES = {
    "as": resource.RLIMIT_AS,
    "cpu": resource.RLIMIT_CPU,
    "fsize": resource.RLIMIT_FSIZE,
    "nofile": resource.RLIMIT_NOFILE,
}


def _main(arguments: list[str]) -> None:
    parent, limits, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit("usage: launcher.py PARENT LIMITS -- PROGRAM ARG…")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before its death could be bound to ours
        raise SystemExit("the server is gone")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused on some machines: then the rest must do
    _volunteer_for_oom()
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for item in limits.split(","):
        name, _, value = item.partition("=")
        _limit(_RESOURCES[name], int(value))
    os.execv(command[0], command)  # noqa: S606  (no shell on purpose)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _volunteer_for_oom() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
            score.write("1000")
    except OSError:
        return


_main(sys.argv[1:])
