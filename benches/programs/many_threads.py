"""Threads at some depth, and modules, then a fault or a wait.

usage: many_threads.py SPOOL {die,wait} [THREADS [MODULES FOLDER]]

Prints `time.monotonic_ns()` right before the fault, or its process id and its monitor's before it
waits.
"""

import ctypes
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import lastwords
from lastwords import _native

DEPTH = 12
spool, what = sys.argv[1:3]
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 9
lastwords.install(product="bench", version="1", dump_dir=spool, quiet=True)
started = threading.Barrier(threads)


def load_modules(count, folder):
    """Load copies of one library until so many files with code are mapped."""

    def loaded():
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {line.split()[-1] for line in lines if " r-xp " in line and line.endswith(".so")}

    number = 0
    while len(loaded()) < count:
        copy = Path(folder) / f"module-{number}.so"
        shutil.copyfile(_native.__file__, copy)
        ctypes.CDLL(str(copy))
        number += 1


if len(sys.argv) > 4:
    load_modules(int(sys.argv[4]), sys.argv[5])


def sleep_at(depth):
    if depth:
        sleep_at(depth - 1)
    else:
        started.wait()
        time.sleep(600)


for index in range(threads - 1):
    threading.Thread(target=sleep_at, args=(DEPTH,), name=f"sleeper-{index}", daemon=True).start()
started.wait()
if what == "wait":
    print(os.getpid(), _native.monitor_pid(), flush=True)
    time.sleep(600)
print(time.monotonic_ns(), flush=True)
ctypes.string_at(0)
