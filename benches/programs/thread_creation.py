"""Prints nanoseconds per thread, with lastwords and without: `thread_creation.py SPOOL LIBRARY`.

On one processor: on which one a thread wakes makes more than what is measured.
"""

import ctypes
import os
import sys
import time

import lastwords

SPOOL, LIBRARY = sys.argv[1:]
ROUNDS, THREADS = 61, 300

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
measure = ctypes.PyDLL(LIBRARY).ns_per_thread
measure.restype = ctypes.c_double
measure(THREADS)
for _ in range(ROUNDS):
    lastwords.install(product="bench", version="1", dump_dir=SPOOL)
    time.sleep(0.02)  # the monitor's start is over
    with_ns = measure(THREADS)
    lastwords.uninstall()
    time.sleep(0.02)
    print(with_ns, measure(THREADS))
