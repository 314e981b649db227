"""Builders of analysis documents and reports for the signature's tests."""

from __future__ import annotations

LIBC = "libc.so.6"
PHYSICS = "_physics.cpython-311-x86_64-linux-gnu.so"
PYTHON = "python3.11"

# Build ids by module, as in the `modules` of an analysis document.
MODULES = (
    {"filename": LIBC, "code_id": "aa" * 20},
    {
        "filename": PHYSICS,
        "code_id": "bb" * 20,
        "code_file": f"/opt/app/lib/python3.11/site-packages/victim/{PHYSICS}",
    },
    {"filename": PYTHON, "code_id": "cc" * 20},
)


def native(function, module=PHYSICS, *, offset="0x1234", trust="cfi", line=10, inlines=(), **more):
    return {
        "kind": "native",
        "function": function,
        "module": module,
        "module_offset": offset,
        "offset": f"0x00007f00{int(offset, 16):08x}",
        "trust": trust,
        "file": "/build/src/grid.cpp",
        "line": line,
        "inlines": [{"function": name, "file": "/build/src/grid.h", "line": 3} for name in inlines],
        **more,
    }


def python(qualname, file="/opt/app/lib/python3.11/site-packages/victim/simulation.py", line=20):
    return {
        "kind": "python",
        "function": qualname,
        "file": file,
        "line": line,
        "trust": "python",
        "python": {"qualname": qualname, "file": file, "line": line, "placement": "anchored"},
    }


def analysis(*frames, reason="SIGSEGV / SEGV_MAPERR", modules=MODULES, assertion=None, threads=()):
    crashing = {"frames": list(frames), "thread_id": 42}
    return {
        "status": "OK",
        "crash_info": {
            "type": reason,
            "address": "0x0000000000000010",
            "crashing_thread": 0,
            "assertion": assertion,
        },
        "crashing_thread": {**crashing, "threads_index": 0},
        "threads": [crashing, *threads],
        "modules": list(modules),
    }


def exception(kind, message, *frames, module="builtins", **more):
    """`frames` as (qualname, file), oldest call first."""
    return {
        "type": kind,
        "module": module,
        "message": message,
        "frames": [
            {"qualname": name, "function": name, "file": file, "line": 7} for name, file in frames
        ],
        **more,
    }


THREAD_START = (
    python("Thread.run", "/usr/lib/python3.11/threading.py"),
    python("Thread._bootstrap", "/usr/lib/python3.11/threading.py"),
    native("thread_run", PYTHON),
    native("pythread_wrapper", PYTHON),
    native("start_thread", LIBC),
    native("clone3", LIBC),
)
GLUE = (
    native("pybind11::cpp_function::dispatcher(_object*, _object*, _object*)"),
    native("cfunction_call", PYTHON),
    native("_PyObject_MakeTpCall", PYTHON),
)
ABORTING = (
    native("__pthread_kill_implementation", LIBC),
    native("__GI_raise", LIBC),
    native("__GI_abort", LIBC),
)
