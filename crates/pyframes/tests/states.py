"""A process in a state that no application can be brought to without luck.

Usage: python states.py waiting|finalizing|ending

waiting: a thread waits for the GIL, which the main thread holds, asleep in C.
finalizing: the interpreter is shutting down, and runs a destructor that never returns.
ending: so does a second interpreter, which the first one ends.

Prints what is known of it as one line of JSON when it is in that state.
"""

import ctypes
import json
import os
import sys
import threading

NEVER, _kept_open = os.pipe()

thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p


def truth(**more):
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    return json.dumps({"runtime": runtime, "main": thread_state(), **more}) + "\n"


def wait(said, go):
    os.write(said, b"!")
    os.read(go, 1)
    os.read(NEVER, 1)


def waiting():
    (has_started, said), (go, start) = os.pipe(), os.pipe()
    waiter = threading.Thread(target=wait, args=(said, go), daemon=True)
    waiter.start()
    os.read(has_started, 1)
    sys.setswitchinterval(1000)  # nobody asks for the GIL before that
    with_gil = ctypes.PyDLL(None)
    sys.stdout.write(truth(waiter=waiter.native_id))
    sys.stdout.flush()
    with_gil.write(start, b"!", 1)
    with_gil.pause()


class AtEnd:
    """Says so and stays, when the interpreter destroys it."""

    def __init__(self, line, never):
        self.line, self.never = line, never

    def __del__(self, write=os.write, read=os.read):
        write(1, self.line)
        read(self.never, 1)


ENDING = """if True:
    import os
    class AtEnd:
        def __del__(self, write=os.write, read=os.read):
            write(1, {line!r})
            read({never}, 1)
    kept = AtEnd()
"""


def ending():
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    second = interpreters.create()
    code = ENDING.format(line=truth().encode(), never=NEVER)
    interpreters.run_string(second, code)
    interpreters.destroy(second)


ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: never outlive the test
if sys.argv[1] == "finalizing":
    kept = AtEnd(truth().encode(), NEVER)
else:
    {"waiting": waiting, "ending": ending}[sys.argv[1]]()
