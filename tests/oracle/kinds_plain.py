"""Steps in Python alone: functions, classes, blocks, comprehensions, generators, coroutines."""

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

GENERATORS = [
    Kind(
        name="generator_in_loop",
        source="""
def made_$n():
    yield 1
    yield $next()
def $here():
    for item in made_$n():
        pass
""",
        frames="""
            py $here
            lib<3.12 gen_iternext
            py made_$n
        """,
    ),
    Kind(
        name="generator_next",
        source="""
def made_$n():
    yield $next()
def $here():
    return next(made_$n())
""",
        frames="""
            py $here
            lib builtin_next
            lib gen_iternext
            py made_$n
        """,
    ),
    Kind(
        name="generator_send",
        source="""
def made_$n():
    got = yield 1
    yield $next()
def $here():
    generator = made_$n()
    next(generator)
    return generator.send("value")
""",
        frames="""
            py $here
            lib gen_send.*
            py made_$n
        """,
    ),
    Kind(
        name="generator_throw",
        source="""
def made_$n():
    try:
        yield 1
    except KeyError:
        yield $next()
def $here():
    generator = made_$n()
    next(generator)
    return generator.throw(KeyError("thrown"))
""",
        frames="""
            py $here
            lib _?gen_throw
            py made_$n
        """,
    ),
    Kind(
        name="generator_close",
        source="""
def made_$n():
    try:
        yield 1
    finally:
        $next()
def $here():
    generator = made_$n()
    next(generator)
    generator.close()
""",
        frames="""
            py $here
            lib gen_close
            py made_$n
        """,
    ),
    Kind(
        name="yield_from",
        source="""
def innermost_$n():
    yield 0
    yield $next()
def inner_$n():
    yield from innermost_$n()
def outer_$n():
    yield from inner_$n()
def $here():
    return list(outer_$n())
""",
        frames="""
            py $here
            lib list_extend|list___init___impl|list_vectorcall
            lib gen_iternext
            py outer_$n
            py inner_$n
            py innermost_$n
        """,
    ),
    Kind(
        name="generator_expression",
        source="""
def $here():
    return sum($next() or 0 for _ in range(3))
""",
        frames="""
            py $here
            lib builtin_sum
            lib gen_iternext
            py $here.<locals>.<genexpr>
        """,
    ),
    Kind(
        name="generator_expressions",
        source="""
def $here():
    first = (x for x in range(2))
    second = (x for x in first if not $next())
    return any(x for x in second)
""",
        frames="""
            py $here
            lib builtin_any
            lib gen_iternext
            py $here.<locals>.<genexpr>
            py $here.<locals>.<genexpr>
        """,
    ),
    Kind(
        name="unpacking_of_a_generator",
        source="""
def $here():
    first, *rest = ($next() for _ in range(2))
    return first
""",
        frames="""
            py $here
            lib gen_iternext
            py $here.<locals>.<genexpr>
        """,
    ),
]

COROUTINES = [
    Kind(
        name="coroutines",
        source="""
async def third_$n():
    return $next()
async def second_$n():
    return await third_$n()
async def first_$n():
    return await second_$n()
def $here():
    return first_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py first_$n
            py second_$n
            py third_$n
        """,
    ),
    Kind(
        name="awaitable",
        source="""
class Awaited_$n:
    def __await__(self):
        yield $next()
async def waiting_$n():
    await Awaited_$n()
def $here():
    return waiting_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py waiting_$n
            py Awaited_$n.__await__
        """,
    ),
    Kind(
        name="async_generator",
        source="""
async def made_$n():
    yield 1
    yield $next()
async def taking_$n():
    async for item in made_$n():
        pass
def $here():
    return taking_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py taking_$n
            lib async_gen_asend_(iternext|send)
            py made_$n
        """,
    ),
    Kind(
        name="async_comprehension",
        source="""
async def numbers_$n():
    yield 1
async def taking_$n():
    return [$next() async for item in numbers_$n()]
def $here():
    return taking_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py taking_$n
            py<3.12 taking_$n.<locals>.<listcomp>
        """,
    ),
    Kind(
        name="async_with",
        source="""
class Opened_$n:
    async def __aenter__(self):
        return $next()
    async def __aexit__(self, *exc):
        pass
async def opening_$n():
    async with Opened_$n():
        pass
def $here():
    return opening_$n().send(None)
""",
        frames="""
            py $here
            lib gen_send.*
            py opening_$n
            py Opened_$n.__aenter__
        """,
    ),
    Kind(
        name="asyncio_run",
        source="""
async def inner_$n():
    return $next()
async def main_$n():
    await asyncio.sleep(0)
    return await inner_$n()
def $here():
    return asyncio.run(main_$n())
""",
        frames="""
            py $here
            std asyncio
            lib context_run
            py main_$n
            py inner_$n
        """,
        once="loop",
        needs="asyncio",
    ),
    Kind(
        name="asyncio_task",
        source="""
async def work_$n():
    await asyncio.sleep(0)
    return $next()
async def main_$n():
    await asyncio.gather(asyncio.create_task(work_$n()), asyncio.sleep(0))
def $here():
    return asyncio.run(main_$n())
""",
        frames="""
            py $here
            std asyncio
            lib context_run
            py work_$n
        """,
        once="loop",
        needs="asyncio",
    ),
    Kind(
        name="asyncio_call_soon",
        source="""
async def main_$n():
    asyncio.get_running_loop().call_soon($next)
    await asyncio.sleep(1000)
def $here():
    return asyncio.run(main_$n())
""",
        frames="""
            py $here
            std asyncio
            lib context_run
        """,
        once="loop",
        needs="asyncio",
    ),
]

KINDS = [*FUNCTIONS, *BLOCKS, *COMPREHENSIONS, *GENERATORS, *COROUTINES]
