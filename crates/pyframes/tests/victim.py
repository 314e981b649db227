"""A process with known Python stacks, for the tests of the frame reader.

Usage: python victim.py

Starts one thread per scenario; each ends in `block`, which never returns. When all stand
still the truth about them, as the interpreter itself sees it, is printed as one line of JSON,
and the main thread sleeps inside C with the GIL held.

Names that the tests rely on: the interpreter calls functions named `entry_*` from C, so they
begin a native activation; it runs functions named `plain_*` in the activation of their
caller (CPython 3.11 and later).
"""

import ctypes
import functools
import gc
import json
import os
import sys
import threading
import time

GATE = threading.Lock()
GATE.acquire()
THREAD_STATES = {}
SUBINTERPRETERS = []
ARMED = None

thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p


def block():
    GATE.acquire()


class Model:
    def plain_step(self, depth):
        if depth:
            return self.plain_step(depth - 1)
        return block()

    @classmethod
    def plain_build(cls):
        def plain_inner(model):
            # An expression of several lines.
            return (
                model.plain_step(3)
                or model
            )  # fmt: skip

        return plain_inner(cls())


def nested():
    Model.plain_build()


def numbers():
    yield 1
    block()


def outer():
    yield from numbers()


def generator():
    total = 0
    for number in outer():
        total += number


def generator_from_c():
    list(outer())


async def leaf():
    block()


async def entry_branch():
    await leaf()


def coroutine():
    entry_branch().send(None)


def comprehension():
    return [[block() for _ in (1,)] for _ in range(1)], {1: 2}


def generator_expression():
    return sum(block() or 1 for _ in range(1))


def entry_key(item):
    block()
    return item


def sorting():
    sorted([2, 1], key=entry_key)


def entry_map(item):
    block()


def mapping():
    list(map(entry_map, [1]))


class Key:
    def __eq__(self, other):
        return block()

    def __hash__(self):
        return 1


def slot():
    return Key() in [Key()]


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
def entry_callback(number):
    block()
    return number


def callback():
    entry_callback(7)


def unicode_names():
    source = "class Ключ:\n    def 計算(self):\n        x = 'é😀'; block()\n\nКлюч().計算()\n"
    exec(compile(source, "/tmp/größe/模块/😀.py", "exec"), {"block": block})


def undecodable_file_name():
    exec(compile("\n\nblock()\n", "/tmp/\udcff\udc80.py", "exec"), {"block": block})


def latin_1_name():
    exec(compile("def größe():\n    block()\ngröße()\n", "<größe>", "exec"), {"block": block})


def long_name():
    name = "n" * 3000
    exec(compile(f"def {name}():\n    block()\n{name}()\n", "<long>", "exec"), {"block": block})


def evaluated():
    eval("(lambda: block())()", {"block": block})


def plain_down(depth):
    if depth == 0:
        block()
    else:
        plain_down(depth - 1)


def recursion():
    plain_down(600)


def alternating_recursion():
    def entry_again(depth):
        if depth == 0:
            block()
        list(map(entry_again, [depth - 1]))

    list(map(entry_again, [20]))


def entry_from_hot_code():
    block()


STEPS = [functools.partial(int), functools.partial(entry_from_hot_code)]


def hot():
    """A loop that is worth compiling, where the interpreter does."""
    for number in range(20_000):
        STEPS[number == 19_999]()


def handling():
    try:
        raise KeyError("handled")
    except KeyError:
        block()


def pending():
    block()


def entry_collected(phase, info):
    if ARMED == threading.get_ident():
        block()


def make_generator(value):
    def read():
        return value

    yield read()


def incomplete():
    """The collector runs, on 3.11 while the frame of `make_generator` is not complete."""
    global ARMED
    gc.callbacks.append(entry_collected)
    gc.set_threshold(1)
    ARMED = threading.get_ident()
    while sys.version_info[:2] == (3, 11):
        make_generator(1)
    gc.collect()


SCENARIOS = [
    nested, generator, generator_from_c, coroutine, comprehension, generator_expression,
    sorting, mapping, slot, callback, unicode_names, undecodable_file_name, latin_1_name,
    long_name, evaluated, recursion, alternating_recursion, hot, handling, pending, incomplete,
]  # fmt: skip


SUBINTERPRETER_CODE = """if True:
    import os
    def inside():
        if {depth}:
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            code = {code!r}.format(started={started}, never={never}, depth={depth} - 1, code="")
            interpreters.run_string(interpreters.create(), code)
        os.write({started}, b"!")
        os.read({never}, 1)
    inside()
"""


def run_subinterpreter(started, never, depth):
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    SUBINTERPRETERS.append(thread_state())
    code = SUBINTERPRETER_CODE
    code = code.format(started=started, never=never, depth=depth, code=code)
    interpreters.run_string(interpreters.create(), code)


def start_subinterpreter(depth):
    """A thread that runs another interpreter, and `depth` more inside of that.

    It is in the last of them when this returns.
    """
    (has_started, started), (never, _) = os.pipe(), os.pipe()
    arguments = (started, never, depth)
    threading.Thread(target=run_subinterpreter, args=arguments, daemon=True).start()
    os.read(has_started, 1)


def run(scenario):
    THREAD_STATES[threading.get_ident()] = thread_state()
    scenario()


def well_formed(text):
    """`text` with lone surrogates replaced, as a UTF-8 reader must show them."""
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


def frame_truth(frame):
    code = frame.f_code
    truth = {
        "code": id(code),
        "name": well_formed(code.co_name),
        "qualname": well_formed(getattr(code, "co_qualname", "")) or None,
        "file": well_formed(code.co_filename),
        "lasti": frame.f_lasti,
        "line": frame.f_lineno,
        "positions": None,
    }
    if hasattr(code, "co_positions"):
        truth["positions"] = list(code.co_positions())[frame.f_lasti // 2]
    return truth


def stack_truth(frame):
    frames = []
    while frame is not None:
        frames.append(frame_truth(frame))
        frame = frame.f_back
    return frames


def truth(threads):
    frames = sys._current_frames()
    return [
        {
            "scenario": thread.name,
            "tstate": THREAD_STATES.get(thread.ident, 0),
            "thread_id": thread.ident,
            "native_id": thread.native_id,
            "frames": stack_truth(frames[thread.ident]),
        }
        for thread in threads
    ]


def is_blocked(stack):
    return stack["tstate"] and stack["frames"][0]["name"] == "block"


def settled(threads):
    """The truth, once it says the same twice and all threads are in `block`."""
    before = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = truth(threads)
        if now == before and all(map(is_blocked, now)):
            return now
        before = now
        time.sleep(0.02)
    sys.exit("the threads do not come to rest")


def set_pending_exception(tstate):
    """Makes the thread look as if it were raising, which no Python code can do while it waits."""
    field, value = {
        (3, 9): (88, KeyError),
        (3, 10): (88, KeyError),
        (3, 11): (96, KeyError),
        (3, 12): (96, KeyError("pending")),
        (3, 13): (112, KeyError("pending")),
        (3, 14): (112, KeyError("pending")),
        (3, 15): (136, KeyError("pending")),
    }[sys.version_info[:2]]
    set_pending_exception.kept = value
    ctypes.c_void_p.from_address(tstate + field).value = id(value)


def hold_gil():
    ctypes.PyDLL(None).pause()


def main():
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: never outlive the test
    threads = [threading.Thread(target=run, args=(s,), name=s.__name__) for s in SCENARIOS]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for depth in (0, 1):
        start_subinterpreter(depth)
    stacks = settled(threads)
    for stack in stacks:
        if stack["scenario"] == "pending":
            set_pending_exception(stack["tstate"])
    report = {
        "runtime": ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")),
        "version": sys.hexversion,
        "main": thread_state(),
        "subinterpreters": SUBINTERPRETERS,
        "threads": stacks,
    }
    print(json.dumps(report), flush=True)
    hold_gil()


main()
