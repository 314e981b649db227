"""A process with tasks of asyncio that wait in known places, for the tests of details.

When all stands still, the truth is printed as one line of JSON, and the main thread sleeps
inside C.
"""

import asyncio
import ctypes
import json
import sys
import threading
import time
import types

GATE = threading.Lock()
GATE.acquire()
TRUTH = {}
KEPT = []
VERSION = sys.version_info[:2]

thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p


def block():
    GATE.acquire()


async def leaf(future):
    await future


async def middle(future):
    return await leaf(future)


async def branch(future):
    await middle(future)


@types.coroutine
def old_style(future):
    yield from asyncio.wait([future])


async def over_old_style(future):
    await old_style(future)


async def produce(future):
    yield 1
    await middle(future)
    yield 2


async def consume(future):
    async for _ in produce(future):
        pass


async def gather(*awaitables):
    await asyncio.gather(*awaitables)


async def wait_for(awaitable):
    await asyncio.wait_for(awaitable, 3600)


async def wait(task):
    await asyncio.wait([task])


async def shield(task):
    await asyncio.shield(task)


async def awaits(task):
    await task


async def group(future):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(branch(future), name="in group")


async def quick():
    return 1


async def fails():
    raise ValueError("lost")


async def not_started():
    await asyncio.sleep(3600)


def coroutine_chain(awaitable):
    """Qualified names and lines, innermost first, as Python itself tells them."""
    frames = []
    while awaitable is not None:
        for prefix, link in (("cr", "cr_await"), ("gi", "gi_yieldfrom"), ("ag", "ag_await")):
            frame = getattr(awaitable, f"{prefix}_frame", None)
            if frame is not None:
                frames.append([awaitable.__qualname__, frame.f_lineno, id(awaitable)])
                awaitable = getattr(awaitable, link)
                break
        else:
            break
    return frames[::-1]


def task_truth(task, awaited_by=(), chain=None):
    waiter = getattr(task, "_fut_waiter", None)
    state = "cancelled" if task.cancelled() else "finished" if task.done() else "pending"
    return {
        "address": id(task),
        "name": task.get_name(),
        "state": state,
        "loop": id(task.get_loop()),
        "coroutine": id(task.get_coro()),
        "chain": coroutine_chain(task.get_coro()) if chain is None else chain,
        "waits_for": None if waiter is None else id(waiter),
        "awaited_by": sorted(id(other) for other in awaited_by),
    }


async def run_tasks():
    loop = asyncio.get_running_loop()
    future = loop.create_future

    def start(coroutine, name):
        task = loop.create_task(coroutine)
        task.set_name(name)
        KEPT.append(task)
        return task

    branching = start(branch(future()), "branch")
    generating = start(consume(future()), "async generator")
    children = [start(branch(future()), f"child {n}") for n in range(2)]
    gathering = start(gather(*children), "gather")
    timed = start(branch(future()), "timed")
    waiting = start(wait_for(timed), "wait_for")
    waited = start(branch(future()), "waited")
    wait_task = start(wait(waited), "wait")
    shielded = start(branch(future()), "shielded")
    shielding = start(shield(shielded), "shield")
    awaited = start(branch(future()), "awaited")
    awaiting = [start(awaits(awaited), f"awaits {n}") for n in range(2)]
    nested = start(wait_for(gather(awaiting[0])), "nested")
    old = start(over_old_style(future()), "old")
    done, failed, cancelled = (
        start(quick(), "done"),
        start(fails(), "failed"),
        start(leaf(future()), "c"),
    )
    grouping = start(group(future()), "group") if VERSION >= (3, 11) else None
    for _ in range(5):
        await asyncio.sleep(0)
    cancelled.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    fresh = start(not_started(), "fresh")
    unnamed = loop.create_task(not_started())
    KEPT.append(unnamed)
    current = asyncio.current_task()
    tasks = [task_truth(task) for task in (branching, gathering, waiting, wait_task, shielding,
             done, failed, cancelled, old, fresh, unnamed, awaiting[1])]  # fmt: skip
    tasks += [task_truth(child, [gathering]) for child in children]
    # From 3.12 on wait_for runs what it waits for in the same task.
    inner = [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "gather"]
    inner = [task for task in inner if task is not gathering]
    tasks += [task_truth(task, [nested]) for task in inner]
    tasks += [
        task_truth(timed, [waiting]), task_truth(waited, [wait_task]),
        task_truth(shielded, [shielding]), task_truth(awaited, awaiting),
        task_truth(awaiting[0], inner or [nested]), task_truth(nested),
    ]  # fmt: skip
    # What an asynchronous generator awaits is no attribute of what awaits the generator.
    inner_chain = [
        [function.__qualname__, function.__code__.co_firstlineno + offset, 0]
        for function, offset in ((leaf, 1), (middle, 1), (produce, 2))
    ]
    chain = inner_chain + coroutine_chain(generating.get_coro())
    tasks.append(task_truth(generating, chain=chain))
    if grouping is not None:
        in_group = next(task for task in asyncio.all_tasks() if task.get_name() == "in group")
        tasks += [task_truth(in_group, [grouping]), task_truth(grouping)]
    TRUTH["tasks"] = tasks
    TRUTH["current"] = {"address": id(current), "name": "current", "tstate": thread_state()}
    current.set_name("current")
    await hold()


async def hold():
    block()


def loop_thread():
    asyncio.run(run_tasks())


# A second loop, of which nothing runs.


async def forever():
    await asyncio.sleep(0)
    await asyncio.Event().wait()


def second_loop():
    loop = asyncio.new_event_loop()
    task = loop.create_task(forever())
    KEPT.append(task)
    task.set_name("other loop")
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    TRUTH["other"] = task_truth(task)
    block()


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
    threads = [threading.Thread(target=t, daemon=True) for t in (loop_thread, second_loop)]
    for thread in threads:
        thread.start()
    wait_until_blocked(threads)
    report = {
        "runtime": ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")),
        "version": sys.hexversion,
        **TRUTH,
    }
    print(json.dumps(report), flush=True)
    ctypes.PyDLL(None).pause()


main()
