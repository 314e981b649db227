"""Installs lastwords and asks for dumps while it runs on.

usage: ask.py WAY [FOLDER], prints facts as JSON.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import lastwords

PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 3, 4, 24
CAP_SYS_PTRACE = 19
WAY = sys.argv[1]
FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
FAULTS = ctypes.CDLL(os.environ["LASTWORDS_FAULTS"])


def install():
    lastwords.install(product="asking", version="1.2.3", dump_dir=os.environ["TEST_DUMP_DIR"])
    lastwords.annotate("purpose", "test")


def tell(**facts):
    print(json.dumps({"pid": os.getpid(), "tid": threading.get_native_id()} | facts), flush=True)


def the_caller(**options):
    return lastwords.dump(**options)


def plain():
    install()
    tell(path=the_caller(reason="it was slow"), line=sys._getframe().f_lineno)


def worker():
    install()
    paths = []
    thread = threading.Thread(target=lambda: paths.append(the_caller()))
    thread.start()
    tid = thread.native_id
    thread.join()
    tell(path=paths[0], worker_tid=tid)


def together():
    install()
    barrier = threading.Barrier(6)
    paths = []

    def ask():
        barrier.wait()
        paths.append(the_caller())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    tell(paths=paths)


def counting():
    """The other threads go on while a dump is made; the longest gap is told."""
    install()
    gaps, done = [0.0], threading.Event()

    def count():
        last = time.perf_counter()
        while not done.is_set():
            now = time.perf_counter()
            gaps[0] = max(gaps[0], now - last)
            last = now
            time.sleep(0.0001)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.perf_counter()
    path = the_caller(kinds=["mini", "full"])
    took = time.perf_counter() - start
    done.set()
    thread.join()
    tell(path=path, took=took, gap=gaps[0])


def files():
    install()
    pattern = FOLDER / "new folder" / "PROCESSNAME_PID_EXCEPTIONCODE.dmp"
    tell(paths=[the_caller(kinds="mini, kernel", file=pattern) for _ in range(2)])


def forked():
    install()
    child = os.fork()
    if child == 0:
        tell(path=the_caller())
        os._exit(0)
    os.waitpid(child, 0)
    tell(path=the_caller(), child=child)


def crash_meanwhile():
    """A thread dies while another has one dump after another made."""
    install()
    asked = threading.Event()

    def ask():
        while True:
            the_caller(file=FOLDER / "again.dmp")
            asked.set()

    threading.Thread(target=ask, daemon=True).start()
    asked.wait()
    tell()
    FAULTS.fault_write_null()


def unarmed():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = the_caller()
        install()
        wrong = [the_caller(kinds="huge"), the_caller(kinds=7), the_caller(file="/proc/no/x.dmp")]
        wrong.append(the_caller(reason="x" * 50_000, kinds=["callback:/" + "y" * 20_000]))
    tell(path=path, wrong=wrong, warnings=[str(warning.message) for warning in caught])


def refused():
    """The monitor may do nothing; the process stays as closed as it was."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) == 0
    install()
    assert libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    path = the_caller()
    tell(path=path, dumpable=libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))


def signalled():
    """Signals arrive all the time; the dump is made all the same, and none of them is lost."""
    install()
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    path = the_caller()
    signal.setitimer(signal.ITIMER_REAL, 0)
    tell(path=path, seen=len(seen))


globals()[WAY]()
