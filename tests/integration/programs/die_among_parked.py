"""Dies deep in mixed calls while all other threads are parked, so that nobody moves any more.

usage: die_among_parked.py (with -X faulthandler); the fault comes from `crates/faults`.
"""

import ctypes
import os
import threading
import time
from pathlib import Path

import lastwords

FAULTS = ctypes.CDLL(os.environ["LASTWORDS_FAULTS"])
FUTEX = "202 "  # the number of the system call on x86-64, as /proc tells it
THREADS = 4
never = threading.Lock()
never.acquire()


class Parked:  # noqa: PLW1641  (never hashed)
    def __init__(self, depth):
        self.depth = depth

    def __eq__(self, other):
        return self.descend(self.depth)

    def descend(self, depth):
        return self.descend(depth - 1) if depth else never.acquire()


def in_a_generator(depth):
    yield from (Parked(depth) == None for _ in range(1))  # noqa: E711  (runs __eq__)


def park(depth):
    return [list(in_a_generator(depth)) for _ in range(1)]


def is_parked(task):
    return (task / "syscall").read_text().startswith(FUTEX)


def die(item):
    return FAULTS.fault_write_wild()


def die_deep():
    return [sorted(map(die, (index,)), key=str) for index in range(1)]


lastwords.install(product="parked", version="1", dump_dir=os.environ["TEST_DUMP_DIR"])
for index in range(THREADS):
    threading.Thread(target=park, args=(index * 3,), daemon=True).start()
others = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()]
deadline = time.monotonic() + 30
while not all(is_parked(task) for task in others) and time.monotonic() < deadline:
    time.sleep(0.01)
die_deep()
