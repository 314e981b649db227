"""Steps in Python alone: generators, coroutines, tasks of asyncio."""

from __future__ import annotations

from steps import Kind

__all__ = ["KINDS"]

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

KINDS = [*GENERATORS, *COROUTINES]
