"""Steps through the interpreter's own functions and modules that call what they are given."""

from __future__ import annotations

from steps import Kind, table

__all__ = ["KINDS"]


def _given(name: str, call: str, natives: str) -> Kind:
    """A call of a function of C that calls a lambda of the script."""
    return Kind(
        name=name,
        source=f"\ndef $here():\n    return {call}\n",
        frames=f"py $here\n{natives}\npy $here.<locals>.<lambda>",
    )


FUNCTIONS = table(
    """
    sorted_key: sorted([2, 1], key=lambda x: $next() or x)
        builtin_sorted / list_sort(_impl)?
    list_sort: [2, 1].sort(key=lambda x: $next() or x)
        list_sort(_impl)?
    sorted_cmp: sorted([2, 1], key=functools.cmp_to_key(lambda a, b: $next() or a - b))
        builtin_sorted / list_sort(_impl)? / keyobject_richcompare
    map: list(map(lambda x: $next(), [1, 2]))
        map_next
    map_in_loop: [y for y in map(lambda x: $next(), [1])]
        py<3.12 $here.<locals>.<listcomp> / map_next
    filter: list(filter(lambda x: $next(), [1, 2]))
        filter_next
    min_key: min([2, 1], key=lambda x: $next() or x)
        min_max
    max_key: max(2, 1, key=lambda x: $next() or x)
        min_max
    reduce: functools.reduce(lambda a, b: $next(), [1, 2, 3])
        (_)?functools_reduce
    partial: functools.partial(lambda a, *, b: $next(), 1)(b=2)
        partial_(call|vectorcall)
    lru_cache: functools.lru_cache(lambda x: $next())(1)
        .*lru_cache_wrapper
    iter_of_callable: list(iter(lambda: $next(), 0))
        calliter_iternext
    starmap: list(itertools.starmap(lambda a, b: $next(), [(1, 2)]))
        starmap_next
    takewhile: list(itertools.takewhile(lambda a: $next(), [1]))
        takewhile_next
    groupby: list(itertools.groupby([1], key=lambda a: $next()))
        groupby_next
    accumulate: list(itertools.accumulate([1, 2], lambda a, b: $next()))
        accumulate_next
    zip_of_map: list(zip(map(lambda x: $next(), [1]), [2]))
        zip_next / map_next
    chain: list(itertools.chain([1], map(lambda x: $next(), [1])))
        chain_next / map_next
    join: ''.join(map(lambda x: $next(), [1]))
        PyUnicode_Join / PySequence_Fast / map_next
    sum_of_map: sum(map(lambda x: $next(), [1]))
        builtin_sum / map_next
    dict_of_map: dict(map(lambda x: $next(), [1]))
        map_next
    set_update: set().update(map(lambda x: $next(), [1]))
        set_update / map_next
    deque_of_map: collections.deque(map(lambda x: $next(), [1]))
        deque_extend(_impl)? / map_next
    defaultdict: collections.defaultdict(lambda: $next())['gone']
        dict_subscript / defdict_missing
    context_run: contextvars.copy_context().run(lambda: $next())
        context_run
    re_sub: re.sub('a', lambda match: $next() or 'b', 'cab')
        std /re / pattern_sub(x)?
    json_default: json.JSONEncoder(default=lambda x: $next()).encode([set()])
        std json / encoder_call / encoder_listencode_obj
    json_hook: json.loads('{"a": 1}', object_hook=lambda x: $next())
        std json / scanner_call / scan_once_unicode
    warm_map: list(map(lambda x: $next() if x == 99 else 0, range(100)))
        map_next
    """,
    _given,
)

OTHERS = [
    Kind(
        name="partial_alone",
        source="""
$here = functools.partial(functools.partial(lambda: $next()))
""",
        frames="""
            lib partial_(call|vectorcall)
            py <lambda>
        """,
    ),
    Kind(
        name="bisect_key",
        source="""
def $here():
    return bisect.bisect([1, 2, 3], 2, key=lambda x: $next())
""",
        frames="""
            py $here
            lib _bisect_bisect(_right)?(_impl)?
            py $here.<locals>.<lambda>
        """,
        since=(3, 10),
    ),
    Kind(
        name="methodcaller",
        source="""
class Called_$n:
    def walk(self, number):
        return $next()
def $here():
    return operator.methodcaller("walk", 1)(Called_$n())
""",
        frames="""
            py $here
            py Called_$n.walk
        """,
    ),
    Kind(
        name="attrgetter",
        source="""
class Owner_$n:
    @property
    def value(self):
        return $next()
def $here():
    return operator.attrgetter("value")(Owner_$n())
""",
        frames="""
            py $here
            py Owner_$n.value
        """,
    ),
    Kind(
        name="exec_of_code",
        source="""
def $here():
    code = compile("x = 1\\n\\n[x, leading()]\\n", "<text $n>", "exec")
    exec(code, {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            lib PyEval_EvalCode
            text <module>
        """,
    ),
    Kind(
        name="eval_of_code",
        source="""
def $here():
    return eval(compile("[leading() for _ in range(1)]", "<text $n>", "eval"), {"leading": $next})
""",
        frames="""
            py $here
            lib PyEval_EvalCode
            text <module>
            text<3.12 <listcomp>
        """,
    ),
    Kind(
        name="exec_of_text",
        source="""
def $here():
    exec("def inner():\\n    return leading()\\ninner()", {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            std <string>
        """,
    ),
    Kind(
        name="far_line",
        source="""
def $here():
    exec(compile("\\n" * 70000 + "leading()", "<text $n>", "exec"), {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            text <module>
        """,
    ),
    Kind(
        name="line_after_line",
        source="""
def $here():
    text = "def far():\\n x = 1\\n" + "\\n" * 300 + " y = [" + "\\n" * 9000 + "leading()]\\nfar()"
    exec(compile(text, "<text $n>", "exec"), {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            text <module>
            text far
        """,
    ),
    Kind(
        name="wide_column",
        source="""
def $here():
    text = "[" + "'ä', " * 200 + "(leading(),), " + "'ß', " * 40 + "]"
    exec(compile(text, "<text $n>", "exec"), {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            text <module>
        """,
    ),
    Kind(
        name="long_code",
        source="""
def $here():
    text = "\\n".join(f"x{index} = {index}" for index in range(3000)) + "\\nleading()"
    exec(compile(text, "<text $n>", "exec"), {"leading": $next})
""",
        frames="""
            py $here
            lib builtin_exec
            text <module>
        """,
    ),
    Kind(
        name="code_without_lines",
        source="""
def untold_$n():
    return $next()
untold_$n.__code__ = untold_$n.__code__.replace(co_linetable=b"")
def $here():
    return untold_$n()
""",
        frames="""
            py $here
            py untold_$n
        """,
        since=(3, 11),
    ),
    Kind(
        name="code_of_another_line",
        source="""
def moved_$n():
    return $next()
moved_$n.__code__ = moved_$n.__code__.replace(co_firstlineno=100_000)
def $here():
    return moved_$n()
""",
        frames="""
            py $here
            py moved_$n
        """,
    ),
    Kind(
        name="import",
        source="""
def $here():
    import $module
""",
        module="""
import sys

def body():
    return sys.modules["$script"].$next()

value = body()
""",
        frames="""
            py $here
            lib PyImport_ImportModuleLevelObject
            std importlib
            lib builtin_exec
            mod <module>
            mod body
        """,
    ),
    Kind(
        name="import_module",
        source="""
def $here():
    return importlib.import_module("$module")
""",
        module="""
import sys
class Body:
    value = sys.modules["$script"].$next()
""",
        frames="""
            py $here
            std importlib
            lib builtin_exec
            mod <module>
            lib builtin___build_class__
            mod Body
        """,
    ),
    Kind(
        name="module_getattr",
        source="""
def $here():
    import $module
    return $module.gone
""",
        module="""
import sys

def __getattr__(name):
    if name == "gone":
        return sys.modules["$script"].$next()
    raise AttributeError(name)
""",
        frames="""
            py $here
            mod __getattr__
        """,
    ),
    Kind(
        name="weakref_callback",
        source="""
class Referred_$n:
    pass
def $here():
    object_$n = Referred_$n()
    reference = weakref.ref(object_$n, lambda dead: $next())
    del object_$n
    return reference
""",
        frames="""
            py $here
            lib subtype_dealloc
            lib PyObject_ClearWeakRefs
            py $here.<locals>.<lambda>
        """,
    ),
    Kind(
        name="weakref_finalize",
        source="""
class Referred_$n:
    pass
def $here():
    object_$n = Referred_$n()
    weakref.finalize(object_$n, $next)
    object_$n = None
""",
        frames="""
            py $here
            lib subtype_dealloc
            lib PyObject_ClearWeakRefs
            std weakref
        """,
    ),
    Kind(
        name="weak_method_of_dictionary",
        source="""
class Key_$n:
    def __hash__(self):
        return 1
    def __eq__(self, other):
        return $next()
def $here():
    return {Key_$n(): 1}[Key_$n()]
""",
        frames="""
            py $here
            lib slot_tp_richcompare
            py Key_$n.__eq__
        """,
    ),
    Kind(
        name="atexit",
        source="""
def at_the_end_$n(*arguments):
    $next()
def $here():
    atexit.register(at_the_end_$n, 1)
    atexit._run_exitfuncs()
""",
        frames="""
            py $here
            lib atexit_(run_exitfuncs|callfuncs)
            py at_the_end_$n
        """,
    ),
    Kind(
        name="print_to",
        source="""
class Paper_$n:
    def write(self, text):
        return $next()
def $here():
    print("größer", file=Paper_$n())
""",
        frames="""
            py $here
            lib builtin_print
            lib PyFile_WriteObject
            py Paper_$n.write
        """,
    ),
    Kind(
        name="single_dispatch",
        source="""
@functools.singledispatch
def dispatched_$n(value):
    return 0
@dispatched_$n.register(int)
def _(value):
    return $next()
def $here():
    return dispatched_$n(1)
""",
        frames="""
            py $here
            std functools.py
            py _
        """,
    ),
    Kind(
        name="copy",
        source="""
class Copied_$n:
    def __copy__(self):
        return $next()
def $here():
    return copy.copy(Copied_$n())
""",
        frames="""
            py $here
            std copy.py
            py Copied_$n.__copy__
        """,
    ),
    Kind(
        name="thread_local",
        source="""
class Local_$n(threading.local):
    def __init__(self):
        $next()
def $here():
    return Local_$n()
""",
        frames="""
            py $here
            lib type_call
            py Local_$n.__init__
        """,
    ),
    Kind(
        name="exception_init",
        source="""
class Failure_$n(Exception):
    def __init__(self, text):
        super().__init__(text, $next())
def $here():
    try:
        raise Failure_$n("größer")
    except Failure_$n:
        pass
""",
        frames="""
            py $here
            lib type_call
            lib slot_tp_init
            py Failure_$n.__init__
        """,
    ),
    Kind(
        name="raise_of_a_class",
        source="""
class Failure_$n(Exception):
    def __init__(self):
        $next()
def $here():
    raise Failure_$n
""",
        frames="""
            py $here
            lib slot_tp_init
            py Failure_$n.__init__
        """,
    ),
    Kind(
        name="bytes_io",
        source="""
class Raw_$n(io.RawIOBase):
    def readable(self):
        return True
    def readinto(self, buffer):
        $next()
        return 0
def $here():
    return io.BufferedReader(Raw_$n()).read(1)
""",
        frames="""
            py $here
            lib _bufferedreader_raw_read
            py Raw_$n.readinto
        """,
    ),
    Kind(
        name="ctypes_callback",
        source="""
called_$n = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
@called_$n
def comparing_$n(left, right):
    return $next() or 0
def $here():
    LIBC.qsort((ctypes.c_int * 2)(2, 1), 2, 4, comparing_$n)
""",
        frames="""
            py $here
            lib _ctypes_callproc
            lib ffi_call(_int|_unix64|)
            lib .*qsort(_r)?
            lib closure_fcn
            py comparing_$n
        """,
        needs="ctypes",
    ),
    Kind(
        name="ctypes_python_call",
        source="""
calling_$n = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(
    ("PyObject_CallNoArgs", ctypes.pythonapi)
)
def $here():
    return calling_$n($next)
""",
        frames="""
            py $here
            lib _ctypes_callproc
            lib ffi_call(_int|_unix64|)
            lib PyObject_CallNoArgs
        """,
        needs="ctypes",
    ),
]

KINDS = [*FUNCTIONS, *OTHERS]
