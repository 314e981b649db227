"""Steps in Python alone: functions, classes, blocks, comprehensions."""

from __future__ import annotations

from steps import Kind

__all__ = ["KINDS"]

FUNCTIONS = [
    Kind(
        name="function",
        source="""
def $here():
    return $next()
""",
        frames="py $here",
    ),
    Kind(
        name="function_of_many_lines",
        source="""
def $here():
    return [
        "größer", [
            (1, $next(
            )),
            2],
    ]
""",
        frames="py $here",
    ),
    Kind(
        name="function_with_a_wide_name",
        source="""
def größe_$n(näher):
    return "ä", näher()
def $here(): return größe_$n(näher=$next)
""",
        frames="""
            py $here
            py größe_$n
        """,
    ),
    Kind(
        name="function_with_a_long_name",
        source=f"""
def {"long_" * 60}$n():
    return $next()
def $here(): return {"long_" * 60}$n()
""",
        frames=f"""
            py $here
            py {"long_" * 60}$n
        """,
    ),
    Kind(
        name="lambda",
        source="""
$here = lambda: $next()
""",
        frames="py <lambda>",
    ),
    Kind(
        name="nested_function",
        source="""
def $here():
    kept = 1
    def inner():
        def innermost(*, call):
            return kept, call()
        return innermost(call=$next)
    return inner()
""",
        frames="""
            py $here
            py $here.<locals>.inner
            py $here.<locals>.inner.<locals>.innermost
        """,
    ),
    Kind(
        name="recursion",
        source="""
def $here(rounds=5):
    if rounds:
        return $here(rounds - 1)
    return $next()
""",
        frames="py $here\n" * 6,
    ),
    Kind(
        name="recursion_of_two",
        source="""
def even_$n(rounds):
    return odd_$n(rounds - 1) if rounds else $next()
def odd_$n(rounds):
    return even_$n(rounds - 1) if rounds else $next()
def $here():
    return even_$n(4)
""",
        frames="""
            py $here
            py even_$n
            py odd_$n
            py even_$n
            py odd_$n
            py even_$n
        """,
    ),
    Kind(
        name="starred_call",
        source="""
def taking_$n(*arguments, **names):
    return arguments[0](), names
def $here():
    return taking_$n(*[$next], **{"name": 1})
""",
        frames="""
            py $here
            py taking_$n
        """,
    ),
    Kind(
        name="decorators",
        source="""
def first_$n(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper
def second_$n(function):
    def other_wrapper():
        return function()
    return other_wrapper
@second_$n
@first_$n
@second_$n
def decorated_$n():
    return $next()
def $here():
    return decorated_$n()
""",
        frames="""
            py $here
            py second_$n.<locals>.other_wrapper
            py first_$n.<locals>.wrapper
            py second_$n.<locals>.other_wrapper
            py decorated_$n
        """,
    ),
    Kind(
        name="methods",
        source="""
class Walker_$n:
    class Inner:
        @staticmethod
        def still():
            return $next()
    @classmethod
    def of_class(cls):
        return cls.Inner.still()
    def walk(self):
        return self.of_class()
def $here():
    return Walker_$n().walk()
""",
        frames="""
            py $here
            py Walker_$n.walk
            py Walker_$n.of_class
            py Walker_$n.Inner.still
        """,
    ),
    Kind(
        name="super_method",
        source="""
class Base_$n:
    def walk(self):
        return $next()
class Derived_$n(Base_$n):
    def walk(self):
        return super().walk()
def $here():
    return Derived_$n().walk()
""",
        frames="""
            py $here
            py Derived_$n.walk
            py Base_$n.walk
        """,
    ),
]

BLOCKS = [
    Kind(
        name="finally",
        source="""
def $here():
    try:
        int("1")
    finally:
        $next()
""",
        frames="py $here",
    ),
    Kind(
        name="finally_of_an_exception",
        source="""
def $here():
    try:
        raise KeyError(1)
    finally:
        $next()
""",
        frames="py $here",
    ),
    Kind(
        name="except",
        source="""
def raising_$n():
    raise KeyError("gone")
def $here():
    try:
        raising_$n()
    except KeyError as error:
        return $next(), error
""",
        frames="py $here",
    ),
    Kind(
        name="loop",
        source="""
def $here():
    total = 0
    for index in range(3):
        while total < 5:
            total += 1
        if index == 1:
            total += bool($next())
    return total
""",
        frames="py $here",
    ),
    Kind(
        name="with_enter",
        source="""
class Entered_$n:
    def __enter__(self):
        return $next()
    def __exit__(self, *exc):
        return False
def $here():
    with Entered_$n():
        pass
""",
        frames="""
            py $here
            py Entered_$n.__enter__
        """,
    ),
    Kind(
        name="with_body",
        source="""
class Block_$n:
    def __enter__(self):
        return self
    def __exit__(self, *exc):
        return False
def $here():
    with Block_$n() as a, Block_$n() as b:
        $next()
""",
        frames="py $here",
    ),
    Kind(
        name="with_exit",
        source="""
class Left_$n:
    def __enter__(self):
        return self
    def __exit__(self, *exc):
        return bool($next())
def $here():
    with Left_$n():
        pass
""",
        frames="""
            py $here
            py Left_$n.__exit__
        """,
    ),
    Kind(
        name="with_exit_of_an_exception",
        source="""
class Failed_$n:
    def __enter__(self):
        return self
    def __exit__(self, *exc):
        return bool($next())
def $here():
    with Failed_$n():
        raise ValueError
""",
        frames="""
            py $here
            py Failed_$n.__exit__
        """,
    ),
    Kind(
        name="context_manager",
        source="""
@contextlib.contextmanager
def managed_$n():
    yield $next()
def $here():
    with managed_$n():
        pass
""",
        frames="""
            py $here
            std contextlib
            lib builtin_next
            lib gen_iternext
            py managed_$n
        """,
    ),
    Kind(
        name="class_body",
        source="""
def $here():
    class Body_$n:
        value = $next()
    return Body_$n
""",
        frames="""
            py $here
            lib builtin___build_class__
            py $here.<locals>.Body_$n
        """,
    ),
    Kind(
        name="assert",
        source="""
def $here():
    assert not $next(), "message"
""",
        frames="py $here",
    ),
    Kind(
        name="f_string",
        source="""
def $here():
    return f"größer {$next()!r:>10} {1}"
""",
        frames="py $here",
    ),
    Kind(
        name="operands",
        source="""
def $here():
    values = {"a": 1}
    return (values["a"] + 2) * ((1, 2)[0] + len([$next(), *range(3)]))
""",
        frames="py $here",
    ),
]

COMPREHENSIONS = [
    Kind(
        name="list_comprehension",
        source="""
def $here():
    return [$next() for _ in (1, 2)]
""",
        frames="""
            py $here
            py<3.12 $here.<locals>.<listcomp>
        """,
    ),
    Kind(
        name="set_comprehension",
        source="""
def $here():
    return {x for x in range(3) if x == 1 and not $next()}
""",
        frames="""
            py $here
            py<3.12 $here.<locals>.<setcomp>
        """,
    ),
    Kind(
        name="dict_comprehension",
        source="""
def $here():
    return {
        key: $next()
        for key in "ab"
    }
""",
        frames="""
            py $here
            py<3.12 $here.<locals>.<dictcomp>
        """,
    ),
    Kind(
        name="nested_comprehension",
        source="""
def $here():
    return [[$next() for _ in range(2)] for row in range(2)]
""",
        frames="""
            py $here
            py<3.12 $here.<locals>.<listcomp>
            py<3.12 $here.<locals>.<listcomp>.<listcomp>
        """,
    ),
]

KINDS = [*FUNCTIONS, *BLOCKS, *COMPREHENSIONS]
