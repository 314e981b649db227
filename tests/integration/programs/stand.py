"""Two threads that stand still in places with names, until stdin ends.

With `--no-rules LIBRARY` a call goes through a function without call frame information.
"""

import ctypes
import json
import os
import sys
import threading

_READY = threading.Barrier(2)


class Worker:
    def run(self, *, rounds):
        if rounds:
            return self.run(rounds=rounds - 1)
        return sorted([1], key=self.wait)

    def wait(self, _):
        _READY.wait()
        threading.Event().wait()


def told_by_c(library):
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(wait_for_input)
    return ctypes.CDLL(library).without_rules(callback, 7)


def wait_for_input(_=0):
    _READY.wait()
    print(json.dumps({"pid": os.getpid()}), flush=True)
    sys.stdin.read()
    print(json.dumps({"done": True}), flush=True)
    return 0


def main():
    thread = threading.Thread(
        target=Worker().run, kwargs={"rounds": 9}, name="the worker", daemon=True
    )
    thread.start()
    if sys.argv[1:2] == ["--no-rules"]:
        told_by_c(sys.argv[2])
    else:
        wait_for_input()


main()
