"""A process that stands still and has told what is known of it, for the tests of the calibration.

Usage: python truths.py HOLD_LIBRARY TRUTH_FILE

The newest frames are those of `Chain.step`, a generator that C code resumes, `plain` and `main`.
"""

import ctypes
import json
import os
import sys
import threading
import time

api = ctypes.pythonapi
for name in ("PyThreadState_Get", "PyInterpreterState_Get", "PyInterpreterState_Head"):
    getattr(api, name).restype = ctypes.c_void_p
for name in ("PyInterpreterState_ThreadHead", "PyThreadState_Next", "PyInterpreterState_Next"):
    getattr(api, name).restype = ctypes.c_void_p
    getattr(api, name).argtypes = [ctypes.c_void_p]
api.PyType_GetFlags.restype = ctypes.c_ulong
api.PyType_GetFlags.argtypes = [ctypes.c_void_p]


class Chain:
    def step(self, hold):
        yield hold()


def plain(hold):
    return next(Chain().step(hold))


def linked(first, following):
    found = []
    while first:
        found.append(first)
        first = following(first)
    return [*found, 0]


def first_traceable(code):
    """Index of the first RESUME, whose number a plain function begins with; None before 3.11."""
    if sys.version_info < (3, 11):
        return None
    return code.co_code[::2].index(plain.__code__.co_code[0])


def code_truth(code):
    qualname = getattr(code, "co_qualname", None)
    return {
        "address": id(code),
        "file": id(code.co_filename),
        "name": id(code.co_name),
        "qualname": id(qualname) if qualname is not None else None,
        "line_table": id(code.co_linetable),
        "first_line": code.co_firstlineno,
        "first_traceable": first_traceable(code),
    }


def frame_truths(frame):
    found = []
    while frame is not None:
        found.append({
            "code": id(frame.f_code),
            "lasti": frame.f_lasti,
            "line": frame.f_lineno,
            "is_generator": bool(frame.f_code.co_flags & 0x20),
        })  # fmt: skip
        frame = frame.f_back
    return found


STRINGS = ["lastwords", "größe", "計算 of things", "😀 and more text"]
BYTES = [b"bytes", b"eleven more"]
TYPES = [type(plain.__code__), str, bytes, int, KeyError]


def truths(frame):
    thread = api.PyThreadState_Get()
    interpreter = api.PyInterpreterState_Get()
    return {
        "python_version": sys.hexversion,
        "runtime_address": ctypes.addressof(ctypes.c_char.in_dll(api, "_PyRuntime")),
        "thread": thread,
        "interpreter": interpreter,
        "interpreter_id": 0,
        "thread_id": threading.get_ident(),
        "native_thread_id": threading.get_native_id(),
        "interpreters": linked(api.PyInterpreterState_Head(), api.PyInterpreterState_Next),
        "threads": linked(api.PyInterpreterState_ThreadHead(interpreter), api.PyThreadState_Next),
        "holds_gil": True,
        "exception_type": id(KeyError),
        "code_type": id(TYPES[0]),
        "string_type": id(str),
        "bytes_type": id(bytes),
        "types": [
            {"address": id(t), "name": t.__name__, "flags": api.PyType_GetFlags(id(t))}
            for t in TYPES
        ],
        "strings": [{"address": id(text), "text": text} for text in STRINGS],
        "bytes": [{"address": id(data), "content": list(data)} for data in BYTES],
        "codes": [code_truth(f.__code__) for f in (Chain.step, plain, main)],
        "frames": frame_truths(frame),
    }


def report():
    frame = sys._getframe(1)
    while frame.f_code is not Chain.step.__code__:
        frame = frame.f_back
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(truths(frame), file)


def start_thread():
    """A thread that reads what never comes: it does not wait for the GIL."""
    thread = threading.Thread(target=os.read, args=(os.pipe()[0], 1), daemon=True)
    thread.start()
    if not os.path.exists("/proc/self"):  # in a root of its own
        time.sleep(0.2)
        return
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
            if file.read().startswith("0 "):
                return
        time.sleep(0.001)
    sys.exit("a thread does not come to rest")


def start_interpreter():
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    return interpreters.create()


def main():
    for _ in range(2):
        start_thread()
    kept = start_interpreter()
    address = ctypes.c_void_p
    function = ctypes.PyDLL(sys.argv[1]).hold
    function.argtypes = [address, ctypes.py_object, address, ctypes.py_object, address, address]
    function.restype = None
    names = ("PyObject_CallNoArgs", "PyErr_SetNone", "PyErr_Clear", "Py_DecRef")
    call, set_none, clear, release = (ctypes.cast(getattr(api, name), address) for name in names)

    # `partial` is C: no further frame stands between the generator's and the function.
    from functools import partial

    plain(partial(function, call, report, set_none, KeyError, clear, release))
    return kept


main()
