"""Threads that sleep at the end of a few Python and C frames, until stdin ends."""

import sys
import threading
import time

_COUNT = int(sys.argv[1])
_READY = threading.Barrier(_COUNT)


def sleep(_):
    _READY.wait()
    time.sleep(3600)


def descend(depth):
    if depth:
        return descend(depth - 1)
    return sorted([1], key=sleep)


for _ in range(_COUNT - 1):
    threading.Thread(target=descend, args=(5,), daemon=True).start()
_READY.wait()
time.sleep(0.2)
print(flush=True)
sys.stdin.read()
