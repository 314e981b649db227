"""Eight threads at some depth, then a fault or a wait. usage: many_threads.py SPOOL {die,wait}

Prints `time.monotonic_ns()` right before the fault, or its process id and its monitor's before it
waits.
"""

import ctypes
import os
import sys
import threading
import time

import lastwords
from lastwords import _native

DEPTH = 12
spool, what = sys.argv[1:]
lastwords.install(product="bench", version="1", dump_dir=spool, quiet=True)
started = threading.Barrier(9)


def sleep_at(depth):
    if depth:
        sleep_at(depth - 1)
    else:
        started.wait()
        time.sleep(600)


for index in range(8):
    threading.Thread(target=sleep_at, args=(DEPTH,), name=f"sleeper-{index}", daemon=True).start()
started.wait()
if what == "wait":
    print(os.getpid(), _native.monitor_pid(), flush=True)
    time.sleep(600)
print(time.monotonic_ns(), flush=True)
ctypes.string_at(0)
