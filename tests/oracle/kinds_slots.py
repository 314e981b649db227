"""Steps through special methods, properties and descriptors: the interpreter's C calls Python."""

from __future__ import annotations

from steps import Kind, table

__all__ = ["KINDS"]


def _slot(words: str, use: str, natives: str) -> Kind:
    """A class with one special method, and an expression that leads to it."""
    name, method = words.split()
    arguments = {
        "__eq__": "other", "__lt__": "other", "__add__": "other", "__radd__": "other",
        "__iadd__": "other", "__getitem__": "key", "__delitem__": "key", "__contains__": "item",
        "__setitem__": "key, value", "__getattr__": "name", "__getattribute__": "name",
        "__setattr__": "name, value", "__delattr__": "name", "__format__": "spec",
        "__missing__": "key", "__call__": "*arguments, **names", "__pow__": "other",
        "__matmul__": "other", "__round__": "digits=None", "__reversed__": "",
    }.get(method, "")  # fmt: skip
    base = "(dict)" if method == "__missing__" else ""
    source = f"""
class Slot_$n{base}:
    def {method}(self{", " if arguments else ""}{arguments}):
        return $next()
def $here():
    object_$n = Slot_$n()
    {use.replace("THING", "object_$n")}
"""
    return Kind(name=name, source=source, frames=f"py $here\n{natives}\npy Slot_$n.{method}")


SLOTS = table(
    """
    slot_eq __eq__: THING == 1
        slot_tp_richcompare
    slot_eq_in_list __eq__: items = [2, THING]; 1 in items
        list_contains / slot_tp_richcompare
    slot_eq_of_tuples __eq__: (1, THING) == (1, 2)
        tuplerichcompare / slot_tp_richcompare
    slot_eq_in_index __eq__: [1, THING].index(2)
        list_index / slot_tp_richcompare
    slot_lt __lt__: THING < 1
        slot_tp_richcompare
    slot_lt_in_sort __lt__: sorted([THING, THING])
        builtin_sorted / list_sort / slot_tp_richcompare
    slot_lt_in_min __lt__: min(THING, THING)
        min_max / slot_tp_richcompare
    slot_lt_in_heap __lt__: heapq.heapify([THING, THING])
        slot_tp_richcompare
    slot_hash __hash__: hash(THING)
        builtin_hash / slot_tp_hash
    slot_hash_in_dict __hash__: {THING: 1}
        slot_tp_hash
    slot_hash_in_set __hash__: set([THING])
        slot_tp_hash
    slot_getattr __getattr__: THING.missing
        (_Py_)?slot_tp_getattr_hook
    slot_getattribute __getattribute__: THING.any
        (_Py_)?slot_tp_getattr(o|_hook)
    slot_setattr __setattr__: THING.value = 1
        slot_tp_setattro
    slot_delattr __delattr__: del THING.value
        slot_tp_setattro
    builtin_getattr __getattr__: getattr(THING, 'gone', 1)
        builtin_getattr / (_Py_)?slot_tp_getattr_hook
    builtin_hasattr __getattr__: hasattr(THING, 'gone')
        builtin_hasattr / (_Py_)?slot_tp_getattr_hook
    slot_call __call__: THING(1, name=2)
        slot_tp_call
    slot_iter __iter__: for _ in THING: pass
        slot_tp_iter
    slot_iter_in_list __iter__: list(THING)
        slot_tp_iter
    slot_len __len__: len(THING)
        builtin_len / slot_sq_length
    slot_bool __bool__: if THING: pass
        slot_nb_bool
    slot_not __bool__: not THING
        slot_nb_bool
    slot_getitem __getitem__: THING[1]
        lib<3.11 slot_mp_subscript
    slot_getitem_in_in __getitem__: 1 in THING
        slot_sq_item
    slot_setitem __setitem__: THING[1] = 2
        slot_mp_ass_subscript
    slot_delitem __delitem__: del THING[1]
        slot_mp_ass_subscript
    slot_contains __contains__: 1 in THING
        slot_sq_contains
    slot_add __add__: THING + 1
        slot_nb_add
    slot_radd __radd__: 1 + THING
        slot_nb_add
    slot_iadd __iadd__: THING += 1
        slot_nb_inplace_add
    slot_matmul __matmul__: THING @ 1
        slot_nb_matrix_multiply
    slot_pow __pow__: pow(THING, 2)
        builtin_pow / slot_nb_power
    slot_neg __neg__: -THING
        slot_nb_negative
    slot_index __index__: range(THING)
        slot_nb_index
    slot_int __int__: int(THING)
        slot_nb_int
    slot_float __float__: float(THING)
        slot_nb_float
    slot_round __round__: round(THING)
        builtin_round
    slot_reversed __reversed__: reversed(THING)
        reversed_new(_impl)?|reversed_vectorcall
    slot_repr __repr__: repr(THING)
        builtin_repr|PyObject_Repr / slot_tp_repr
    slot_repr_in_list __repr__: repr([1, THING])
        list_repr / slot_tp_repr
    slot_str __str__: str(THING)
        slot_tp_str
    slot_str_in_f_string __str__: f'größe {THING}'
        slot_tp_str
    slot_format __format__: format(THING, '>3')
        PyObject_Format
    slot_missing __missing__: THING['gone']
        dict_subscript
    slot_dir __dir__: dir(THING)
        PyObject_Dir
    slot_sizeof __sizeof__: sys.getsizeof(THING)
        sys_getsizeof
    slot_fspath __fspath__: os.fspath(THING)
        os_fspath
    slot_reduce __reduce__: pickle.dumps(THING)
        _pickle_dumps
    """,
    _slot,
)

CLASSES = [
    Kind(
        name="slot_init",
        source="""
class Made_$n:
    def __init__(self, value, *, name):
        self.value = $next()
def $here():
    return Made_$n(1, name=2)
""",
        frames="""
            py $here
            lib type_call
            lib slot_tp_init
            py Made_$n.__init__
        """,
    ),
    Kind(
        name="slot_init_plain",
        source="""
class Made_$n:
    def __init__(self, value):
        self.value = $next()
def $here():
    for _ in range(20):
        simple_$n(1)
    return Made_$n(1)
class Simple_$n:
    def __init__(self, value):
        self.value = value
simple_$n = Simple_$n
""",
        frames="""
            py $here
            py Made_$n.__init__
        """,
    ),
    Kind(
        name="slot_init_specialized",
        source="""
class Warm_$n:
    def __init__(self, value):
        if value == 39:
            $next()
def $here():
    for value in range(40):
        Warm_$n(value)
""",
        frames="""
            py $here
            lib<3.13 type_call
            lib<3.13 slot_tp_init
            py Warm_$n.__init__
        """,
    ),
    Kind(
        name="slot_new",
        source="""
class New_$n:
    def __new__(cls, *arguments):
        $next()
        return super().__new__(cls)
def $here():
    return New_$n()
""",
        frames="""
            py $here
            lib type_call
            lib slot_tp_new
            py New_$n.__new__
        """,
    ),
    Kind(
        name="slot_del",
        source="""
class Dying_$n:
    def __del__(self):
        $next()
def $here():
    dying = Dying_$n()
    del dying
""",
        frames="""
            py $here
            lib subtype_dealloc
            lib slot_tp_finalize
            py Dying_$n.__del__
        """,
    ),
    Kind(
        name="slot_del_in_list",
        source="""
class Dying_$n:
    def __del__(self):
        $next()
def $here():
    dying = [1, [Dying_$n()]]
    dying.clear()
""",
        frames="""
            py $here
            lib list_clear|py_list_clear|list_clear_impl
            lib list_dealloc
            lib subtype_dealloc
            lib slot_tp_finalize
            py Dying_$n.__del__
        """,
    ),
    Kind(
        name="slot_del_at_return",
        source="""
class Dying_$n:
    def __del__(self):
        $next()
def letting_go_$n():
    dying = Dying_$n()
def $here():
    letting_go_$n()
""",
        frames="""
            py $here
            lib subtype_dealloc
            lib slot_tp_finalize
            py Dying_$n.__del__
        """,
    ),
    Kind(
        name="init_subclass",
        source="""
class Base_$n:
    def __init_subclass__(cls, **names):
        $next()
def $here():
    class Derived_$n(Base_$n, name=1):
        pass
""",
        frames="""
            py $here
            lib builtin___build_class__
            lib type_new
            py Base_$n.__init_subclass__
        """,
    ),
    Kind(
        name="set_name",
        source="""
class Named_$n:
    def __set_name__(self, owner, name):
        $next()
def $here():
    class Owner_$n:
        member = Named_$n()
""",
        frames="""
            py $here
            lib builtin___build_class__
            lib type_new
            py Named_$n.__set_name__
        """,
    ),
    Kind(
        name="metaclass",
        source="""
class Meta_$n(type):
    @classmethod
    def __prepare__(mcs, name, bases):
        return {}
    def __new__(mcs, name, bases, members):
        $next()
        return super().__new__(mcs, name, bases, members)
def $here():
    class Made_$n(metaclass=Meta_$n):
        pass
""",
        frames="""
            py $here
            lib builtin___build_class__
            lib type_call
            lib slot_tp_new
            py Meta_$n.__new__
        """,
    ),
    Kind(
        name="prepare",
        source="""
class Meta_$n(type):
    @classmethod
    def __prepare__(mcs, name, bases):
        return $next()
def $here():
    class Made_$n(metaclass=Meta_$n):
        pass
""",
        frames="""
            py $here
            lib builtin___build_class__
            py Meta_$n.__prepare__
        """,
    ),
    Kind(
        name="instance_check",
        source="""
class Meta_$n(type):
    def __instancecheck__(cls, instance):
        return $next()
class Checked_$n(metaclass=Meta_$n):
    pass
def $here():
    return isinstance(1, Checked_$n)
""",
        frames="""
            py $here
            lib builtin_isinstance
            lib PyObject_IsInstance|object_isinstance|object_recursive_isinstance
            py Meta_$n.__instancecheck__
        """,
    ),
    Kind(
        name="class_getitem",
        source="""
class Generic_$n:
    def __class_getitem__(cls, item):
        return $next()
def $here():
    return Generic_$n[int]
""",
        frames="""
            py $here
            lib PyObject_GetItem
            py Generic_$n.__class_getitem__
        """,
    ),
    Kind(
        name="property",
        source="""
class Owner_$n:
    @property
    def value(self):
        return $next()
def $here():
    return Owner_$n().value
""",
        frames="""
            py $here
            py Owner_$n.value
        """,
    ),
    Kind(
        name="property_specialized",
        source="""
class Owner_$n:
    @property
    def value(self):
        return $next() if self.rounds == 29 else 0
def $here():
    owner = Owner_$n()
    for rounds in range(30):
        owner.rounds = rounds
        owner.value
""",
        frames="""
            py $here
            py Owner_$n.value
        """,
    ),
    Kind(
        name="property_set",
        source="""
class Owner_$n:
    @property
    def value(self):
        return 1
    @value.setter
    def value(self, value):
        $next()
def $here():
    Owner_$n().value = 1
""",
        frames="""
            py $here
            lib property_descr_set
            py Owner_$n.value
        """,
    ),
    Kind(
        name="descriptor",
        source="""
class Descriptor_$n:
    def __get__(self, instance, owner):
        return $next()
class Owner_$n:
    value = Descriptor_$n()
def $here():
    return Owner_$n().value
""",
        frames="""
            py $here
            py Descriptor_$n.__get__
        """,
    ),
    Kind(
        name="descriptor_set",
        source="""
class Descriptor_$n:
    def __set__(self, instance, value):
        $next()
class Owner_$n:
    value = Descriptor_$n()
def $here():
    Owner_$n().value = 1
""",
        frames="""
            py $here
            lib slot_tp_descr_set
            py Descriptor_$n.__set__
        """,
    ),
    Kind(
        name="cached_property",
        source="""
class Owner_$n:
    @functools.cached_property
    def value(self):
        return $next()
def $here():
    return Owner_$n().value
""",
        frames="""
            py $here
            std functools.py
            py Owner_$n.value
        """,
    ),
    Kind(
        name="iterator",
        source="""
class Counting_$n:
    def __iter__(self):
        return self
    def __next__(self):
        return $next()
def $here():
    for _ in Counting_$n():
        pass
""",
        frames="""
            py $here
            lib slot_tp_iternext
            py Counting_$n.__next__
        """,
    ),
    Kind(
        name="length_hint",
        source="""
class Hinting_$n:
    def __iter__(self):
        return self
    def __next__(self):
        raise StopIteration
    def __length_hint__(self):
        return $next()
def $here():
    return list(Hinting_$n())
""",
        frames="""
            py $here
            lib list_extend|list___init___impl|list_vectorcall
            lib PyObject_LengthHint
            py Hinting_$n.__length_hint__
        """,
    ),
    Kind(
        name="method_bound_by_partial",
        source="""
class Walker_$n:
    def go(self, number):
        return $next()
    walk = functools.partialmethod(go, 1)
def $here():
    return Walker_$n().walk()
""",
        frames="""
            py $here
            lib partial_(call|vectorcall)
            py Walker_$n.go
        """,
    ),
]

KINDS = [*SLOTS, *CLASSES]
