"""Plants secrets and landmarks everywhere, tells where, and dies of a null pointer.

usage: die_dumped.py SETTINGS-JSON [main|thread] [FURTHER ARGUMENTS THAT ARE SECRETS]

The secrets on the command line and in the environment are the caller's; those of this program
begin with `planted-`.
"""

import ctypes
import json
import mmap
import os
import socket
import sys
import threading
import time
from pathlib import Path

import lastwords

SETTINGS = json.loads(sys.argv[1])
WHERE = sys.argv[2] if len(sys.argv) > 2 else "main"
LIBC = ctypes.CDLL(None, use_errno=True)
MADV_DONTDUMP = 16


class OnStack(ctypes.Structure):
    """Too large for registers: passed by value it lies on the C stack."""

    _fields_ = (("text", ctypes.c_char * 64),)


def landmark(text, size=1 << 20):
    """Private memory that nothing on a stack points to."""
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area[size // 2 : size // 2 + len(text)] = text
    address = ctypes.addressof(ctypes.c_char.from_buffer(area)) + size // 2
    LANDMARKS.append(area)
    return address


def facts():
    dontdump = landmark(b"planted-dontdump", 1 << 20)
    page = dontdump & ~0xFFF
    assert LIBC.madvise(ctypes.c_void_p(page), 4096, MADV_DONTDUMP) == 0
    return {
        "pid": os.getpid(),
        "tid": threading.get_native_id(),
        "private": landmark(b"planted-private"),
        "dontdump": dontdump,
        "large": [landmark(b"planted-large", SETTINGS_EXTRA["large"])] if SETTINGS_EXTRA["large"]
        else [],
        "code": ctypes.cast(LIBC.qsort, ctypes.c_void_p).value,
        "file": FILE.fileno(),
        "socket": SOCKETS[0].fileno(),
        "pipe": PIPE[0],
        "memfd": MEMFD,
        "started": time.time(),
    }  # fmt: skip


@ctypes.CFUNCTYPE(None, OnStack)
def die(_on_stack):
    ctypes.string_at(8)


def run():
    threading.current_thread().name = "planted"
    print(json.dumps(facts()), flush=True)
    on_heap = b"planted-heap-" + os.environ.get("PLANTED", "none").encode()
    die(OnStack(b"planted-stack, sixty bytes of it, none of them for others"))
    del on_heap


LANDMARKS = []
SETTINGS_EXTRA = {"large": SETTINGS.pop("large", 0)}
LIBRARY = SETTINGS.pop("load", None)
if LIBRARY:
    ctypes.CDLL(LIBRARY)
lastwords.install("dumped", "1", **SETTINGS)
lastwords.annotate("scene", "planted-annotation")
lastwords.annotate("level", 7)
lastwords.breadcrumb("planted-breadcrumb", "game", level="warning", step=3)
FILE = (Path.home() / "planted-file.txt").open("w")
SOCKETS = socket.socketpair()
PIPE = os.pipe()
MEMFD = os.memfd_create("landmark")
PARKED = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(3)]
for parked in PARKED:
    parked.start()
if WHERE == "thread":
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
else:
    run()
