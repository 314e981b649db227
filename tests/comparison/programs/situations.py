"""Situations in which a process is looked at: `situations.py NAME [LIBRARY]`.

Each ends in `stop()`, which says that it is ready and waits for the end of stdin.
"""

import asyncio
import ctypes
import functools
import os
import signal
import sys
import threading

LIBRARY = sys.argv[2] if len(sys.argv) > 2 else None


def stop(*_):
    print(os.getpid(), flush=True)
    sys.stdin.read()
    return 0


def recursion():
    def fall(depth):
        return fall(depth - 1) if depth else stop()

    fall(8)


def deep_recursion():
    sys.setrecursionlimit(10_000)

    def fall(depth):
        return fall(depth - 1) if depth else stop()

    thread_of(lambda: fall(4000), stack=256 << 20)


def thread_of(function, stack=0):
    threading.stack_size(stack)
    thread = threading.Thread(target=function, name="the worker")
    thread.start()
    thread.join()


def in_a_thread():
    thread_of(stop)


def sort_key():
    return sorted([1], key=stop)


def map_in_list():
    return list(map(stop, [1]))


def reduce_in_c():
    return functools.reduce(lambda _, __: stop(), [1, 2])


class Odd:
    def __eq__(self, _):
        return stop()

    def __call__(self):
        return stop()

    def __getattr__(self, _):
        return stop()

    __hash__ = None


def equality_slot():
    return [Odd()].count(Odd())


def call_slot():
    return functools.partial(Odd())()


def attribute_slot():
    return Odd().missing


def generator():
    def inner():
        yield stop()

    def outer():
        yield from inner()

    return list(outer())


def comprehension():
    return [stop() for _ in range(1)]


def awaited():
    async def leaf():
        stop()

    async def middle():
        await leaf()

    asyncio.run(middle())


def waiting_task():
    async def sleeper():
        await asyncio.sleep(3600)

    async def main():
        task = asyncio.create_task(sleeper(), name="the sleeper")
        await asyncio.sleep(0)
        stop()
        task.cancel()

    asyncio.run(main())


def suspended_greenlet():
    import greenlet  # noqa: PLC0415  (only this situation needs it)

    def waits():
        main.switch()

    main = greenlet.getcurrent()
    kept = greenlet.greenlet(waits)
    kept.switch()
    stop()
    return kept


def executed_code():
    exec(compile("def made():\n    stop()\nmade()", "<made>", "exec"), {"stop": stop})


def c_callback():
    library = ctypes.CDLL(LIBRARY)
    return library.call_back(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(stop), 1)


def without_rules():
    library = ctypes.CDLL(LIBRARY)
    return library.without_rules(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(stop), 1)


def cpp_inlined():
    library = ctypes.CDLL(LIBRARY)
    return library.call_back_inlined(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(stop), 1)


def held_in_c():
    print(os.getpid(), flush=True)
    ctypes.PyDLL(LIBRARY).wait_long()


def handler_on_its_own_stack():
    ctypes.CDLL(LIBRARY).wait_in_handler(os.getpid())


def native_thread():
    ctypes.CDLL(LIBRARY).start_native_thread()
    stop()


def sub_interpreter():
    try:
        import _xxsubinterpreters as interpreters  # noqa: PLC0415
    except ImportError:
        import _interpreters as interpreters  # noqa: PLC0415
    lines = ["import os, sys", "def inside():"]
    lines += ["    print(os.getpid(), flush=True)", "    sys.stdin.read()", "inside()"]
    interpreters.run_string(interpreters.create(), "\n".join(lines))


signal.signal(signal.SIGTERM, signal.SIG_DFL)
globals()[sys.argv[1]]()
