"""A process with greenlets whose frames are known, for the tests of details.

The truth is printed as one line of JSON, and the main thread sleeps inside C, in a greenlet of
its own.
"""

import ctypes
import json
import sys
import threading

import greenlet

KEPT = []
TRUTH = []

thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p


class Named(greenlet.greenlet):
    pass


def leave(value):
    return greenlet.getcurrent().parent.switch(value)


def deep(depth):
    if depth:
        return deep(depth - 1)
    return leave(depth)


def plain():
    leave(1)


def key(item):
    leave(item)
    return item


def through_c():
    """Frames before and behind a call from C."""
    return sorted([2, 1], key=key)


def numbers():
    yield from map(key, [1])


def through_generator():
    return list(numbers())


def resumed():
    first = leave("once")
    leave(first)


def nested():
    inner = start(deep, 2)
    KEPT.append(inner)
    leave("outer")


def long():
    deep(200)


def start(function, *arguments, kind=greenlet.greenlet):
    made = kind(function)
    KEPT.append(made)
    made.switch(*arguments)
    return made


def frames_of(made):
    frames, frame = [], made.gr_frame
    while frame is not None:
        frames.append([frame.f_code.co_name, frame.f_lineno])
        frame = frame.f_back
    return frames


def note(name, made):
    state = "suspended" if made.gr_frame is not None and not made.dead else "other"
    TRUTH.append({"name": name, "address": id(made), "state": state, "frames": frames_of(made),
                  "type": f"{type(made).__module__}.{type(made).__qualname__}"})  # fmt: skip


def finished():
    return 1


def other_thread(ready, never):
    note_later.append(start(deep, 1))
    ready.release()
    never.acquire()


note_later = []


def last():
    """Runs in a greenlet; its parent, the main one, waits."""
    main = greenlet.getcurrent().parent
    note("main", main)
    report = {
        "runtime": ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")),
        "version": sys.hexversion,
        "package": greenlet.__version__,
        "greenlets": TRUTH,
        "running": id(greenlet.getcurrent()),
    }
    print(json.dumps(report), flush=True)
    ctypes.PyDLL(None).pause()


def main():
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: never outlive the test
    made = {
        "plain": start(plain),
        "named": start(deep, 3, kind=Named),
        "through C": start(through_c),
        "through generator": start(through_generator),
        "resumed": start(resumed),
        "nested": start(nested),
        "long": start(long),
        "finished": start(finished),
        "not started": greenlet.greenlet(plain),
    }
    made["resumed"].switch("twice")
    ready, never = threading.Lock(), threading.Lock()
    ready.acquire(), never.acquire()
    threading.Thread(target=other_thread, args=(ready, never), daemon=True).start()
    ready.acquire()
    made["other thread"] = note_later[0]
    for name, one in made.items():
        note(name, one)
    KEPT.extend(made.values())
    greenlet.greenlet(last).switch()


main()
