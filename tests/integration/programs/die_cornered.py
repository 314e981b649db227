"""Arm, get into a corner, crash: `die_cornered.py SETTINGS CORNER`."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import threading
import time

import lastwords

SECCOMP_ALLOW, SECCOMP_EPERM = 0x7FFF0000, 0x00050001
SYS_PTRACE, SYS_PRCTL, SYS_VM_READ = 101, 157, 310
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 22, 24, 38
CAP_SYS_PTRACE = 19


def crash() -> None:
    ctypes.string_at(0x10)


def refuse(*system_calls: int) -> None:
    """Install a seccomp filter under which these system calls answer EPERM."""
    count = len(system_calls)
    code = [(0x20, 0, 0, 0)]
    code += [(0x15, count - index, 0, call) for index, call in enumerate(system_calls)]
    code += [(0x06, 0, 0, SECCOMP_ALLOW), (0x06, 0, 0, SECCOMP_EPERM)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, 2, header) == 0, os.strerror(ctypes.get_errno())


def crash_in_worker() -> None:
    sleeper = threading.Thread(target=time.sleep, args=(60,), name="sleeper", daemon=True)
    sleeper.start()
    worker = threading.Thread(target=crash, name="worker")
    worker.start()
    worker.join()


def forked_child() -> None:
    child = os.fork()
    lastwords.annotate("who", "child" if child == 0 else "parent")
    if child == 0:
        crash()
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    crash()


def no_monitor(monitor_pid: int) -> None:
    os.kill(monitor_pid, signal.SIGKILL)
    crash()


def stopped_monitor(monitor_pid: int) -> None:
    os.kill(monitor_pid, signal.SIGSTOP)
    crash()


def descriptors_closed() -> None:
    os.closerange(3, 1024)
    mine = os.open(os.environ["HOME"] + "/precious", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(200):
        os.dup(mine)
    crash()


def not_dumpable() -> None:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    refuse(SYS_PRCTL)
    crash_in_worker()


def main() -> None:
    settings, corner = json.loads(sys.argv[1]), sys.argv[2]
    if corner == "no-ptrace":
        refuse(SYS_PTRACE, SYS_VM_READ)
    if corner == "not-dumpable" and os.geteuid() == 0:
        # What is started from here on, the monitor too, is no more powerful than a user's program.
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) == 0
    installation = lastwords.install(product="cornered", version="1", **settings)
    assert installation.monitor_pid is not None
    print(json.dumps({"monitor": installation.monitor_pid}), flush=True)
    corners = {
        "forked-child": forked_child,
        "no-monitor": lambda: no_monitor(installation.monitor_pid),
        "stopped-monitor": lambda: stopped_monitor(installation.monitor_pid),
        "descriptors-closed": descriptors_closed,
        "no-ptrace": crash_in_worker,
        "not-dumpable": not_dumpable,
    }
    corners[corner]()


if __name__ == "__main__":
    main()
