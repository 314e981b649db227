"""A process with a named thread, a handled exception, tasks, variables and secrets.

Prints a line of facts when all stands still, and waits for its input to end.
"""

import asyncio
import json
import os
import sys
import threading

GATE = threading.Lock()
GATE.acquire()
STILL = threading.Semaphore(0)


def secret(number):
    """Made of parts at run time and larger than what the interpreter's small pools hold, so
    that it stands in one place of the heap, and in no source, constant or stack."""
    return "".join(["hun", "ter2-", str(number), "-", "s" * 4000])


def hold(depth):
    """Far down the stack of C, where nothing points to what the caller works with."""
    if depth:
        return sorted([depth - 1], key=hold)
    STILL.release()
    GATE.acquire()
    return 0


def refuse():
    raise PermissionError(13, "Permission denied", "/etc/shadow")


def sign_in(user, password, options):
    api_key, attempts = secret(2), [1, 2, 3]
    try:
        refuse()
    except PermissionError:
        hold(60)
    return user, password, options, api_key, attempts


def call():
    sign_in("ann", secret(1), {"host": "example.org", "api_key": secret(3)})


async def leaf(future):
    await future


async def waits(future):
    await leaf(future)


async def serve():
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(waits(loop.create_future())) for _ in range(2)]
    for number, task in enumerate(tasks):
        task.set_name(f"request {number}")
    gathering = asyncio.gather(*tasks)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    hold(0)
    await gathering


def run():
    asyncio.run(serve())


for name, target in (("sign in", call), ("server", run)):
    threading.Thread(target=target, name=name, daemon=True).start()
for _ in range(2):
    STILL.acquire()
print(json.dumps({"pid": os.getpid()}), flush=True)
sys.stdin.read()
