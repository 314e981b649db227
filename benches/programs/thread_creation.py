"""Prints nanoseconds of processor time per thread: `thread_creation.py SPOOL LIBRARY`.

Each line: Python threads with lastwords and without, bare C threads with and without. On one
processor: on which one a thread wakes makes more than what is measured.
"""

import ctypes
import os
import sys
import threading
import time

import lastwords

SPOOL, LIBRARY = sys.argv[1:]
ROUNDS, THREADS = 61, 300

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
ns_per_c_thread = ctypes.PyDLL(LIBRARY).ns_per_thread
ns_per_c_thread.restype = ctypes.c_double


def ns_per_python_thread(count: int) -> float:
    start = time.process_time_ns()
    for _ in range(count):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    return (time.process_time_ns() - start) / count


def measure() -> tuple[float, float]:
    return ns_per_python_thread(THREADS), ns_per_c_thread(THREADS)


measure()
for _ in range(ROUNDS):
    lastwords.install(product="bench", version="1", dump_dir=SPOOL)
    time.sleep(0.02)  # the monitor's start is over
    ours = measure()
    lastwords.uninstall()
    time.sleep(0.02)
    without = measure()
    print(ours[0], without[0], ours[1], without[1])
