"""Steps through native functions of our own: C, C++, Rust, Cython (`programs/steps.*`)."""

from __future__ import annotations

import functools

from steps import Kind, table

__all__ = ["KINDS"]


def _given(name: str, call: str, natives: str, *, module: str = "") -> Kind:
    """A native function that is given the next step to call."""
    return Kind(
        name=name,
        source=f"\ndef $here():\n    return {call}\n",
        frames=f"py $here\n{natives}",
        copies=module or "steps",
        needs=module,
    )


C = [
    *table(
        """
    c_call: steps.call_$c($next)
        own call_$c
    c_vectorcall: steps.vectorcall_$c(lambda a: $next(), 1)
        own vectorcall_$c / PyObject_Vectorcall / py $here.<locals>.<lambda>
    c_recursion: steps.recurse_$c($next)
        own recurse_$c / own recurse_${c}_round *4
    c_variable_frame: steps.variable_$c($next)
        own variable_$c
    c_aligned_frame: steps.aligned_$c($next)
        own aligned_$c
    c_large_frame: steps.large_$c($next)
        own large_$c
    c_cold_part: steps.cold_$c($next)
        own cold_$c / own chill_$c
    c_inlined: steps.inlined_$c($next)
        own inlined_$c / inl inner_$c
    c_qsort: steps.qsort_$c($next)
        own qsort_$c / .*qsort(_r)? / own compare_$c
    c_once: steps.once_$c($next)
        own once_$c / own once_${c}_routine
    c_in_map: list(map(steps.call_$c, [$next]))
        map_next / own call_$c
    c_of_c: steps.call_$c(functools.partial(steps.recurse_$c, $next))
        own call_$c / partial_(call|vectorcall) / own recurse_$c / own recurse_${c}_round *4
    c_iterate: steps.iterate_$c(($next() for _ in range(1)))
        own iterate_$c / gen_iternext / py $here.<locals>.<genexpr>
    c_type_call: steps.Caller($next)(1)
        own type_call_00
    c_type_next: next(steps.Caller($next))
        builtin_next / own type_next_00
    c_type_add: steps.Caller($next) + 1
        PyNumber_Add / own type_add_00
    c_type_get: steps.Caller($next).value
        own type_get_00
    c_type_hash: {steps.Caller($next): 1}
        own type_hash_00
    """,
        _given,
    ),
    Kind(
        name="c_alone",
        source="\n$here = functools.partial(steps.call_$c, lambda: $next())\n",
        frames="lib partial_(call|vectorcall)\nown call_$c\npy <lambda>",
    ),
    Kind(
        name="c_method",
        source="""
class Walked_$n:
    def walk(self):
        return $next()
def $here():
    return steps.method_$c(Walked_$n())
""",
        frames="""
            py $here
            own method_$c
            lib _?PyObject_CallMethod.*
            py Walked_$n.walk
        """,
    ),
    Kind(
        name="c_attribute",
        source="""
class Asked_$n:
    def __getattr__(self, name):
        return $next()
def $here():
    return steps.attribute_$c(Asked_$n())
""",
        frames="""
            py $here
            own attribute_$c
            lib (_Py_)?slot_tp_getattr_hook
            py Asked_$n.__getattr__
        """,
    ),
    Kind(
        name="c_subtype",
        source="""
class Derived_$n(steps.Caller):
    def __call__(self, *arguments):
        return super().__call__(*arguments)
def $here():
    return Derived_$n($next)(1)
""",
        frames="""
            py $here
            lib slot_tp_call
            py Derived_$n.__call__
            own type_call_00
        """,
    ),
]

CPP = [
    *table(
        """
    cpp_function: bound.cpp_$c($next)
        own cpp_$c
    cpp_guarded: bound.cppguarded_$c($next)
        own cppguarded_$c
    cpp_lambda: bound.cpplambda_$c($next)
        own cpplambda_$c
    cpp_method: bound.Ring().cppmethod_$c($next)
        own cppmethod_$c
    cpp_functional: bound.cppfunctional_$c(lambda: $next() or 0)
        own cppfunctional_$c / py $here.<locals>.<lambda>
    """,
        functools.partial(_given, module="pybind11"),
    ),
]

RUST = [
    Kind(
        name=name,
        source=f"""
@ctypes.CFUNCTYPE(ctypes.c_int)
def called_$n():
    return $next() or 0
def $here():
    return {library}.oracle_{function}_$c(called_$n)
""",
        frames=f"""
            py $here
            lib _ctypes_callproc
            lib ffi_call(_int|_unix64|)
            own {function}_$c
            py called_$n
        """,
        needs="rust",
    )
    for name, library, function in (
        ("rust_function", "RUST", "rust"),
        ("rust_closure", "RUST", "rustclosure"),
        ("rust_boxed", "RUST", "rustboxed"),
        ("rust_with_the_lock", "RUST_HOLDING", "rust"),
    )
]

CYTHON = [
    *table(
        """
    cython_def: made.oracle_cydef_$c($next)
        own cydef_$c
    cython_class: made.oracle_Ring_$c().run($next)
        own Ring_${c}_run / own cymethod_$c
    cython_slot: made.oracle_Ring_$c() + $next
        PyNumber_Add / own Ring_${c}___add__
    cython_generator: next(made.oracle_cygenerator_$c($next))
        builtin_next / own cybody
    cython_inner: made.oracle_cyouter_$c($next)
        own cyouter_$c / inl cyinner_$c
    """,
        functools.partial(_given, module="cython"),
    ),
    Kind(
        name="cython_coroutine",
        source="""
async def waiting_$n():
    return await made.oracle_cyasync_$c($next)
def $here():
    return waiting_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py waiting_$n
            own cybody
        """,
        copies="cython",
        needs="cython",
    ),
]

KINDS = [*C, *CPP, *RUST, *CYTHON]
