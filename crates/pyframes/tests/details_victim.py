"""A process whose names, exceptions, tasks and variables are known, for the tests of details.

When all stands still, the truth is printed as one line of JSON, and the main thread sleeps
inside C.
"""

import collections
import ctypes
import json
import os
import sys
import threading
import time
import types

GATE = threading.Lock()
GATE.acquire()
TRUTH = {"exceptions": {}, "generators": {}, "values": {}, "secrets": {}}
THREAD_STATES = {}
KEPT = []
VERSION = sys.version_info[:2]

thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p


def block():
    GATE.acquire()


# Exceptions.


class Custom(Exception):
    class Inner(RuntimeError):
        pass


def handles_chain():
    """A context, a cause, and an exception that is handled."""
    try:
        try:
            try:
                {}["missing"]
            except KeyError:
                open("/nonexistent/größe")
        except OSError as error:
            raise Custom("text", 3) from error
    except Custom:
        block()


def handles_suppressed():
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            raise Custom.Inner("x" * 5000) from None
    except Custom.Inner:
        block()


def handles_many():
    """Ten contexts, of which eight are told."""

    def go(depth):
        try:
            raise ValueError(depth)
        finally:
            if depth:
                go(depth - 1)

    try:
        go(10)
    except ValueError:
        block()


def handles_object():
    try:
        raise Custom(Plain())
    except Custom:
        block()


def handles_none():
    try:
        raise ValueError
    except ValueError:
        pass
    block()


def handles_outside():
    """The generator handles nothing itself; its caller does."""

    def numbers():
        block()
        yield 1

    try:
        raise LookupError("outer")
    except LookupError:
        list(numbers())


def pending():
    block()


NOT_FOUND = "[Errno 2] No such file or directory: '/nonexistent/größe'"
EXCEPTIONS = {
    handles_chain: {
        "type": "__main__.Custom",
        "text": "('text', 3)",
        "chain": [
            {"link": "cause", "type": "FileNotFoundError", "text": NOT_FOUND},
            {"link": "context", "type": "KeyError", "text": "'missing'"},
        ],
    },
    handles_suppressed: {"type": "__main__.Custom.Inner", "text": "x" * 1024 + "…"},
    handles_many: {
        "type": "ValueError",
        "text": "0",
        "chain": [{"link": "context", "type": "ValueError", "text": str(n)} for n in range(1, 9)],
    },
    handles_object: {"type": "__main__.Custom"},
    handles_none: None,
    handles_outside: {"type": "LookupError", "text": "outer"},
}


# Generators on a stack.


def numbers_of():
    yield block()


async def coroutine_of():
    KEPT.append(numbers_of())
    list(KEPT[-1])


async def async_generator_of():
    await coroutine_of_of()
    yield 1


async def coroutine_of_of():
    await coroutine_of()


def generators():
    generator = async_generator_of()
    KEPT.append(generator)
    try:
        generator.asend(None).send(None)
    except StopIteration:
        pass


# Values.


class Plain:
    def __init__(self):
        self.a, self.b = 1, "two"

    def method(self):
        pass


class Split:
    def __init__(self, a):
        self.a = a
        self.b = [a]


class StrangeInt(int):
    def __repr__(self):
        os._exit(3)


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    def __repr__(self):
        os._exit(3)


def own_function(x):
    return x


def values(argument, /, captured, *rest, keyword=None, **others):
    free_variable = captured

    def inner():
        nonlocal free_variable
        free_variable = [free_variable, captured]
        local = free_variable
        block()
        return local

    none, true, false, dots = None, True, False, ...
    zero, small, negative, large = 0, 7, -5, 2**64
    larger, digits_200 = -(3**200), 10**199
    gigantic, gigantic_too = 10**201, -(7**5000)
    gigantic_power = 10**1000
    floats = [0.1, -0.0, 1e100, 1e-7, float("inf"), float("nan"), 123456789.0, 5e-324]
    imaginary, number = 2j, complex(1, -2.5)
    text, quotes, quotes_both = "größe 計算 😀\n\t\\\x01", "it's", 'it\'s "so"'
    long_text, empty_text = "l" * 1000, ""
    wide_long_text = "計" * 1000
    raw, raw_array, raw_long = b"\x00'abc\xff", bytearray(b"xyz"), b"r" * 1000
    empty_array = bytearray()
    shifted_array = bytearray(b"abcdef")
    del shifted_array[:2]
    listed, empty, single, pair = [1, [2, [3, [4]]]], [], (1,), (1, "two")
    many = list(range(1000))
    looped = [1]
    looped.append(looped)
    looped_dict = {}
    looped_dict["self"] = looped_dict
    singleton, frozen, empty_set, empty_frozen = {1}, frozenset({"x"}), set(), frozenset()
    removed_from_set = {1, 2, 3}
    removed_from_set -= {1, 3}
    mapping, by_number, empty_dict = {"a": 1, "b": [2]}, {1: "a", (2, 3): None}, {}
    many_keys = {f"key{n}": n for n in range(300)}
    removed = {n: n for n in range(20)}
    for n in range(18):
        del removed[n]
    split = Split(3).__dict__
    numbers, stepped, cut = range(5), range(-1, 10**30, 3), slice(None, 2, -1)
    function, bound, built_in = own_function, Plain().method, len
    module, kind, kind_of_ours, meta = os, int, Plain, WithMeta
    instance, strange, strange_instance = Plain(), StrangeInt(3), WithMeta()
    ordered, named = collections.OrderedDict(a=1), collections.namedtuple("N", "x y")(1, 2)
    unset = 1
    del unset
    hexed = {name: hex(id(value)) for name, value in locals().items()}
    expected = {
        "argument": ("argument", "'first'"), "captured": ("argument", "{'c': 1}"),
        "rest": ("argument", "(2, 3)"), "keyword": ("argument", "'k'"),
        "others": ("argument", "{'more': 1}"), "free_variable": ("cell", "[{'c': 1}, {'c': 1}]"),
        "none": "None", "true": "True", "false": "False", "dots": "Ellipsis", "zero": "0",
        "small": "7", "negative": "-5", "large": str(2**64), "larger": str(-(3**200)),
        "digits_200": str(10**199), "gigantic": "<int of 202 digits>",
        "gigantic_too": "<int of 4226 digits>", "gigantic_power": "<int of 1001 digits>",
        "floats": "[0.1, -0.0, 1e+100, 1e-07, inf, nan, 123456789.0, 5e-324]",
        "imaginary": "2j", "number": "(1-2.5j)", "text": r"'größe 計算 😀\n\t\\\x01'",
        "quotes": '"it\'s"', "quotes_both": "'it\\'s \"so\"'", "long_text": f"'{'l' * 200}…'",
        "wide_long_text": f"'{'計' * 200}…'", "empty_text": "''", "raw": r'''b"\x00'abc\xff"''',
        "raw_array": "bytearray(b'xyz')", "raw_long": f"b'{'r' * 200}…'",
        "empty_array": "bytearray(b'')", "shifted_array": "bytearray(b'cdef')",
        "listed": "[1, [2, [3, […]]]]", "empty": "[]", "single": "(1,)", "pair": "(1, 'two')",
        "many": "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …]", "looped": "[1, [...]]",
        "looped_dict": "{'self': {...}}", "singleton": "{1}", "frozen": "frozenset({'x'})",
        "empty_set": "set()", "empty_frozen": "frozenset()", "removed_from_set": "{2}",
        "mapping": "{'a': 1, 'b': [2]}", "by_number": "{1: 'a', (2, 3): None}", "empty_dict": "{}",
        "many_keys": "{" + "".join(f"'key{n}': {n}, " for n in range(10)) + "…}",
        "removed": "{18: 18, 19: 19}", "split": "{'a': 3, 'b': [3]}", "numbers": "range(0, 5)",
        "stepped": f"range(-1, {10**30}, 3)", "cut": "slice(None, 2, -1)",
        "function": "<function own_function>", "bound": "<bound method Plain.method>",
        "built_in": "<built-in len>", "module": "<module os>", "kind": "<class int>",
        "kind_of_ours": "<class __main__.Plain>", "meta": "<class __main__.WithMeta>",
        "instance": f"<__main__.Plain object at {hexed['instance']}>",
        "strange": f"<__main__.StrangeInt object at {hexed['strange']}>",
        "strange_instance": f"<__main__.WithMeta object at {hexed['strange_instance']}>",
        "ordered": f"<collections.OrderedDict object at {hexed['ordered']}>",
        "named": f"<__main__.N object at {hexed['named']}>",
        "n": "17", "inner": "<function values.<locals>.inner>",
        "hexed": None, "expected": None,
    }  # fmt: skip
    TRUTH["values"] = {
        name: value if isinstance(value, tuple) else ("local", value)
        for name, value in expected.items()
    }
    TRUTH["unset"] = "unset"
    return inner()


# Each secret stands once, on the heap, and in no other object.
SECRETS = [f"hunter2-{number}-{'s' * 600}" for number in range(12)]


class Credentials:
    def __init__(self, value):
        self.value = value


def secrets(password, headers, **options):
    api_key = SECRETS[1]
    X_Session_Id = SECRETS[2]  # noqa: N806
    config = {"host": "example.org", "API-Key": SECRETS[3], "nested": {"db_password": SECRETS[4]}}
    pair = ["Cookie", SECRETS[5]]
    binary = [(b"authorization", SECRETS[6]), (b"accept", b"text/html")]
    holder = Credentials(SECRETS[7])
    patient = SECRETS[8]
    author_count = 3
    harmless = {"keys": "kept"}
    TRUTH["secrets"] = {
        "password": "[redacted]", "api_key": "[redacted]", "X_Session_Id": "[redacted]",
        "headers": "{'X-Auth-Token': [redacted]}", "options": "{'token': [redacted]}",
        "config": "{'host': 'example.org', 'API-Key': [redacted], "
        "'nested': {'db_password': [redacted]}}",
        "pair": "['Cookie', [redacted]]",
        "binary": "[(b'authorization', [redacted]), (b'accept', b'text/html')]",
        "holder": f"<__main__.Credentials object at {hex(id(holder))}>",
        "patient": "[redacted]", "author_count": "[redacted]", "harmless": "{'keys': 'kept'}",
    }  # fmt: skip
    block()
    return api_key, X_Session_Id, config, pair, binary, patient, author_count, harmless


def call_values():
    values("first", {"c": 1}, 2, 3, keyword="k", more=1)


def call_secrets():
    secrets(SECRETS[0], {"X-Auth-Token": SECRETS[9]}, token=SECRETS[10])


def arrays():
    try:
        import numpy
    except ImportError:
        return block()
    plane = numpy.zeros((3, 4))
    numbers = numpy.arange(5, dtype=">i4")
    point, texts = numpy.array(1 + 2j), numpy.array(["größe", "x"])
    raw, objects = numpy.array([b"abc"]), numpy.array([None, 1], dtype=object)
    times = numpy.array(["2020-01-01"], dtype="datetime64[D]")
    record = numpy.zeros(2, dtype=[("a", "i4"), ("b", "f8")])
    flags, half = numpy.zeros((2, 0, 1), dtype=bool), numpy.zeros(1, dtype="f2")
    matrix = numpy.ma.zeros(2)
    TRUTH["arrays"] = {
        "plane": "<numpy.ndarray shape=(3, 4) dtype=float64>",
        "numbers": "<numpy.ndarray shape=(5,) dtype=>int32>",
        "point": "<numpy.ndarray shape=() dtype=complex128>",
        "texts": "<numpy.ndarray shape=(2,) dtype=str[5]>",
        "raw": "<numpy.ndarray shape=(1,) dtype=bytes[3]>",
        "objects": "<numpy.ndarray shape=(2,) dtype=object>",
        "times": "<numpy.ndarray shape=(1,) dtype=datetime64>",
        "record": "<numpy.ndarray shape=(2,) dtype=void[12]>",
        "flags": "<numpy.ndarray shape=(2, 0, 1) dtype=bool>",
        "half": "<numpy.ndarray shape=(1,) dtype=float16>",
        "matrix": f"<{type(matrix).__module__}.MaskedArray object at {hex(id(matrix))}>",
    }
    block()
    return plane, numbers, point, texts, raw, objects, times, record, flags, half


# The threads.


def run(scenario):
    THREAD_STATES[scenario.__name__] = thread_state()
    scenario()


def set_pending_exception(tstate):
    fields = {
        (3, 9): (88, 96), (3, 10): (88, 96), (3, 11): (96, 104), (3, 12): (None, 96),
        (3, 13): (None, 112), (3, 14): (None, 112),
    }[VERSION]  # fmt: skip
    try:
        raise Custom.Inner("pending") from KeyError("why")
    except Custom.Inner as error:
        KEPT.append(error)
        objects = type(error), error
    for field, value in zip(fields, objects):
        if field is not None:
            ctypes.c_void_p.from_address(tstate + field).value = id(value)
    TRUTH["pending"] = {
        "type": "__main__.Custom.Inner",
        "text": "pending",
        "chain": [{"link": "cause", "type": "KeyError", "text": "'why'"}],
    }


SCENARIOS = [*EXCEPTIONS, generators, pending, call_values, call_secrets, arrays]


def is_blocked(thread):
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code.co_name == "block"


def wait_until_blocked(threads):
    deadline = time.monotonic() + 30
    while not all(map(is_blocked, threads)):
        if time.monotonic() > deadline:
            sys.exit(f"not blocked: {[t.name for t in threads if not is_blocked(t)]}")
        time.sleep(0.02)


def main():
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: never outlive the test
    threads = [
        threading.Thread(target=run, args=(s,), name=f"{s.__name__} größe", daemon=True)
        for s in SCENARIOS
    ]
    for thread in threads:
        thread.start()
    wait_until_blocked(threads)
    set_pending_exception(THREAD_STATES["pending"])
    for scenario, truth in EXCEPTIONS.items():
        TRUTH["exceptions"][scenario.__name__] = truth
    numbers, generator = KEPT[0:0], None
    for kept in KEPT:
        if isinstance(kept, types.GeneratorType):
            numbers = [id(kept)]
        elif isinstance(kept, types.AsyncGeneratorType):
            generator = id(kept)
    TRUTH["generators"] = {"numbers_of": numbers[0], "async_generator_of": generator}
    report = {
        "runtime": ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")),
        "version": sys.hexversion,
        "main": thread_state(),
        "states": THREAD_STATES,
        **TRUTH,
    }
    print(json.dumps(report), flush=True)
    ctypes.PyDLL(None).pause()


main()
