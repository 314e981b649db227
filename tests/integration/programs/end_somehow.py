"""Install, and end in one of many ways: `end_somehow.py SETTINGS END`."""

from __future__ import annotations

import atexit
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import lastwords


def wait_for_session() -> None:
    """Wait until the monitor has written that it watches: it does that in its own time."""
    folder = Path(settings["dump_dir"], "sessions")
    end = time.monotonic() + 30
    while not all(path.stat().st_size for path in folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.01)


def wait_to_be_killed() -> None:
    signal.pause()


def eat_memory() -> None:
    kept = []
    while True:
        kept.append(b"\1" * 1_000_000)


def from_worker(end: object) -> None:
    thread = threading.Thread(target=end)
    thread.start()
    thread.join()


def crash() -> None:
    ctypes.string_at(0x10)


def raise_in_main() -> None:
    raise ValueError("nobody catches this")


def interrupted() -> None:
    raise KeyboardInterrupt


def leave_in_atexit() -> None:
    atexit.register(os._exit, 3)


def crash_in_atexit() -> None:
    atexit.register(crash)


def worker_goes_on() -> None:
    """The main thread ends, the program is a thread that Python waits for."""

    def work() -> None:
        time.sleep(0.2)
        os._exit(4)

    threading.Thread(target=work).start()


def forked_child() -> None:
    child = os.fork()
    if child == 0:
        os._exit(5)
    os.waitpid(child, 0)


def several_workers() -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]


def daemonise() -> None:
    """Leave the parent behind twice, as daemons do; the grandchild outlives both."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(0.5)
    os._exit(0)


def daemonise_in_c() -> None:
    ctypes.CDLL(None).daemon(1, 1)
    time.sleep(0.5)
    os._exit(0)


def close_descriptors_and_be_killed() -> None:
    os.closerange(3, 1024)
    Path(os.environ["HOME"], "closed").touch()
    wait_to_be_killed()


def wait_for_housekeeping() -> None:
    """Run on until this start has told what an earlier one left."""
    pending = Path(settings["dump_dir"], "pending")
    end = time.monotonic() + 30
    while not list(pending.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)


def execute_and_be_killed() -> None:
    """The process goes on as another program, which is killed: nobody's business."""
    os.execv(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"])


def execute_what_fails() -> None:
    os.execv("/bin/false", ["false"])


def kill_with_monitor() -> None:
    os.kill(installation.monitor_pid or 0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_without_monitor() -> None:
    os.kill(installation.monitor_pid or 0, signal.SIGKILL)


def crash_without_monitor() -> None:
    os.kill(installation.monitor_pid or 0, signal.SIGKILL)
    crash()


def shutdown() -> None:
    """What a service manager does: all are asked to end, then who is left is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(installation.monitor_pid or 0, signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


def uninstalled() -> None:
    lastwords.uninstall()
    os._exit(3)


def not_wanted_any_more() -> None:
    lastwords.install(**{**settings, "report_abnormal_ends": False})
    os._exit(3)


def replace_handler_and_crash() -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    crash()


ENDS = {
    "nothing": lambda: None,
    "sys-exit": lambda: sys.exit(3),
    "exception": raise_in_main,
    "interrupted": interrupted,
    "pause": wait_to_be_killed,
    "pause-for-housekeeping": wait_for_housekeeping,
    "eat": eat_memory,
    "os-exit-0": lambda: os._exit(0),
    "os-exit-3": lambda: os._exit(3),
    "os-exit-3-worker": lambda: from_worker(lambda: os._exit(3)),
    "quick-exit": lambda: ctypes.CDLL(None).quick_exit(3),
    "c-exit": lambda: ctypes.CDLL(None).exit(3),
    "usr1": lambda: os.kill(os.getpid(), signal.SIGUSR1),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "int": lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), signal.raise_signal(2)),
    "hup": lambda: (signal.signal(signal.SIGHUP, signal.SIG_DFL), signal.raise_signal(1)),
    "pipe": lambda: (signal.signal(13, signal.SIG_DFL), signal.raise_signal(13)),
    "crash": crash,
    "atexit-leaves": leave_in_atexit,
    "atexit-crashes": crash_in_atexit,
    "worker-goes-on": worker_goes_on,
    "forked-child": forked_child,
    "workers": several_workers,
    "daemon": daemonise,
    "daemon-in-c": daemonise_in_c,
    "closed": close_descriptors_and_be_killed,
    "exec": execute_and_be_killed,
    "exec-false": execute_what_fails,
    "killed-with-monitor": kill_with_monitor,
    "monitor-killed": leave_without_monitor,
    "monitor-killed-crash": crash_without_monitor,
    "shutdown": shutdown,
    "uninstalled": uninstalled,
    "not-wanted": not_wanted_any_more,
    "default-handler": replace_handler_and_crash,
}


if __name__ == "__main__":
    settings = {"product": "ends", "version": "1", **json.loads(sys.argv[1])}
    installation = lastwords.install(**settings)
    assert installation.is_native_armed, installation
    lastwords.annotate("end", sys.argv[2])
    wait_for_session()
    print(json.dumps({"pid": os.getpid(), "monitor": installation.monitor_pid}), flush=True)
    ENDS[sys.argv[2]]()
