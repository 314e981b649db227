"""Uses up a stack: `die_of_depth.py SETTINGS WHERE HOW`.

WHERE is main, python (a thread of Python), tiny (one with 64 KiB), c (of the C library), small (one
with the smallest stack), detached, cpp (std::thread), late (of a library loaded by a thread).
HOW is the name of a function of stacks.cpp, or repr.
"""

import ctypes
import json
import os
import sys
import threading

import lastwords

SETTINGS, WHERE, HOW = sys.argv[1:]
EARLY = ctypes.CDLL(os.environ["STACKS"]) if WHERE != "late" else None
lastwords.install(product="p", version="1", **json.loads(SETTINGS))
LIBRARY = ctypes.CDLL(os.environ["STACKS"])


def nested_repr() -> None:
    sys.setrecursionlimit(10**9)
    value: list = []
    for _ in range(100_000):
        value = [value]
    repr(value)


def overflow() -> None:
    if HOW == "repr":
        nested_repr()
    getattr(LIBRARY, HOW)()


def in_thread(stack_bytes: int = 0) -> None:
    threading.stack_size(stack_bytes)
    thread = threading.Thread(target=overflow, name="deep")
    thread.start()
    thread.join()


FUNCTION = getattr(LIBRARY, HOW, None)
WHERES = {
    "main": overflow,
    "python": in_thread,
    "late": in_thread,
    "tiny": lambda: in_thread(64 * 1024),
    "c": lambda: LIBRARY.run_in_thread(FUNCTION, 0, 0),
    "small": lambda: LIBRARY.run_in_thread(FUNCTION, 16 * 1024, 0),
    "detached": lambda: LIBRARY.run_in_thread(FUNCTION, 0, 1),
    "cpp": lambda: LIBRARY.run_in_cpp_thread(FUNCTION),
}
WHERES[WHERE]()
