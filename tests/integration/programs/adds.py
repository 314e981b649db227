"""Has a function add to its dumps, tells where, and dies or asks for a dump.

usage: adds.py WAY SETTINGS-JSON, prints facts as JSON.
"""

import ctypes
import json
import mmap
import os
import sys
import threading
import time
import warnings

import lastwords

WAY, SETTINGS = sys.argv[1], json.loads(sys.argv[2])
STREAM = 0x12340001
BUFFER = bytearray(5000)
AREA = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(AREA)) + (1 << 19)
STATE = {"text": b"planted-first", "fails": None, "calls": 0}


def add(extra):
    STATE["calls"] += 1
    if STATE["fails"]:
        raise STATE["fails"]
    BUFFER[100:113] = b"planted-array"
    AREA[1 << 19 : (1 << 19) + 12] = b"planted-area"
    extra.add_buffer(BUFFER)
    extra.add_memory(ADDRESS, 64)
    extra.add_stream(STREAM, STATE["text"])


def tell(**facts):
    base = ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))
    facts = {"buffer": base, "area": ADDRESS, "calls": STATE["calls"]} | facts
    print(json.dumps(facts), flush=True)


def install():
    lastwords.install(product="adding", version="1", **SETTINGS)


def die():
    ctypes.string_at(8)


def crash():
    lastwords.on_dump(add)  # before install(): handed over by it
    install()
    STATE["text"] = b"planted-never-told"
    AREA[1 << 19 : (1 << 19) + 12] = b"planted-late"  # memory is as it is at the crash
    tell()
    die()


def refreshed():
    install()
    lastwords.on_dump(add)
    STATE["text"] = b"planted-second"
    lastwords.refresh_on_dump()
    tell()
    die()


def removed():
    install()
    lastwords.on_dump(add)
    lastwords.on_dump(None)
    tell()
    die()


def forked():
    install()
    lastwords.on_dump(add)
    pid = os.fork()
    if pid == 0:
        tell()
        die()
    os.waitpid(pid, 0)


def gone():
    install()

    def add_gone(extra):
        add(extra)
        area = mmap.mmap(-1, 1 << 16)
        extra.add_memory(ctypes.addressof(ctypes.c_char.from_buffer(area)), 100)

    lastwords.on_dump(add_gone)
    tell()
    die()


def asks():
    install()
    lastwords.on_dump(add)
    STATE["text"] = b"planted-fresh"
    path = lastwords.dump()
    tell(path=path)


def raises():
    install()
    lastwords.on_dump(add)
    STATE["fails"] = ValueError("planted-problem")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        path = lastwords.dump()
    tell(path=path, told=[str(warning.message) for warning in told])


def hangs():
    install()
    lastwords.on_dump(add)
    lastwords.on_dump(lambda extra: time.sleep(6) if threading.active_count() > 1 else add(extra))
    thread = threading.Thread(target=lastwords.refresh_on_dump)
    thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        path = lastwords.dump()
    took = time.monotonic() - started
    tell(path=path, took=took, is_over=not thread.is_alive(), told=[str(w.message) for w in told])
    os._exit(0)


def nested():
    install()
    paths = []

    def add_and_dump(extra):
        add(extra)
        paths.append(lastwords.dump())

    lastwords.on_dump(add_and_dump)
    tell(path=paths[0])


globals()[WAY]()
