"""A process that works on while a full dump of it is made.

usage: be_dumped.py WAY SETTINGS, prints facts as JSON.
"""

import ctypes
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import lastwords

WAY = sys.argv[1]
SETTINGS = json.loads(sys.argv[2])
LIBC = ctypes.CDLL(None, use_errno=True)
PROC = Path("/proc/self")
PAGE = 4096
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
MADV_DONTFORK, MADV_WIPEONFORK = 10, 18
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22


def tell(**facts):
    print(json.dumps({"pid": os.getpid()} | facts), flush=True)


def address_of(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def new_memory(size):
    return mmap.mmap(-1, size, flags=ANONYMOUS)


def dump(**options):
    return lastwords.dump("full", **options)


def changing():
    """One thread writes a generation's number to every page, front to back, again and again."""
    pages = 2048
    memory = new_memory(pages * PAGE)
    # One store each: `struct` clears a word before it writes it.
    words = (ctypes.c_uint64 * (pages * PAGE // 8)).from_buffer(memory)
    generation = 0

    def work():
        nonlocal generation
        while True:
            generation += 1
            for word in range(0, pages * PAGE // 8, PAGE // 8):
                words[word] = generation

    threading.Thread(target=work, daemon=True).start()
    while generation < 3:
        time.sleep(0.01)
    before = generation
    path = dump()
    after = generation
    tell(path=path, address=address_of(memory), pages=pages, before=before, after=after)


def undisturbed():
    """Threads in system calls of many kinds; whatever one says besides success is told."""
    complaints, calls = [], dict.fromkeys(["poll", "nanosleep", "read", "futex", "epoll"], 0)
    children = []
    signal.signal(signal.SIGCHLD, lambda *_: children.append(1))
    reader, _ = os.pipe()
    lock = threading.Lock()
    lock.acquire()
    epoll = select.epoll()
    polled = (ctypes.c_int * 2)(reader, select.POLLIN)
    pause = (ctypes.c_long * 2)(0, 3_000_000)
    byte = ctypes.create_string_buffer(1)

    def complain(what, result, expected):
        if result != expected:
            complaints.append([what, result, os.strerror(ctypes.get_errno())])

    ways = {
        "poll": lambda: complain("poll", LIBC.poll(polled, 1, 3), 0),
        "nanosleep": lambda: complain("nanosleep", LIBC.nanosleep(pause, None), 0),
        "read": lambda: complain("read", LIBC.read(silent_reader, byte, 1), 1),
        "futex": lambda: complain("futex", lock.acquire(timeout=0.003), False),
        "epoll": lambda: epoll.poll(0.003),
    }
    silent_reader, silent_writer = os.pipe()

    def feed():
        while True:
            time.sleep(0.05)
            os.write(silent_writer, b"x")

    def repeat(way, act):
        while True:
            act()
            calls[way] += 1

    for way, act in ways.items():
        threading.Thread(target=repeat, args=(way, act), daemon=True).start()
    threading.Thread(target=feed, daemon=True).start()

    def facts():
        mappings = (PROC / "maps").read_text().splitlines()
        return len(list((PROC / "fd").iterdir())), len(mappings)

    dump()  # the first makes lazy things
    before, calls_before = facts(), dict(calls)
    paths = [dump() for _ in range(4)]
    after = facts()
    time.sleep(0.2)
    try:
        waited = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        waited = None
    left = [child for task in (PROC / "task").iterdir() for child in children_of(task)]
    moved = all(calls[way] > calls_before[way] for way in calls)
    tell(paths=paths, complaints=complaints, sigchld=len(children), waited=waited)
    tell(children=left, before=before, after=after, moved=moved)


def sparse():
    """Six GiB of address space, of which three pages were touched."""
    memory = new_memory(6 << 30)
    places = [0, (5 << 30) + 123, (6 << 30) - 16]
    for place in places:
        memory[place : place + 8] = b"touched!"
    base = address_of(memory)
    tell(path=dump(), addresses=[base + place for place in places], untouched=base + (3 << 30))


def not_copied():
    """Memory that a clone does not hold."""
    left_out, wiped = new_memory(PAGE), new_memory(PAGE)
    left_out[:8], wiped[:8] = b"left out", b"is wiped"
    left_out.madvise(MADV_DONTFORK)
    wiped.madvise(MADV_WIPEONFORK)
    tell(path=dump(), left_out=address_of(left_out), wiped=address_of(wiped))


def deny_clones():
    """EPERM for a plain clone of all but the descriptors (the monitor is started by another)."""
    instructions = [
        (0x20, 0, 0, 0),  # load the call's number
        (0x15, 0, 3, 56),  # clone?
        (0x20, 0, 0, 16),  # load its flags
        (0x15, 0, 1, 0x400),  # CLONE_FILES only?
        (0x06, 0, 0, 0x00050001),  # EPERM
        (0x06, 0, 0, 0x7FFF0000),  # allow
    ]
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("<HxxxxxxQ", len(instructions), ctypes.addressof(buffer))
    assert LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert LIBC.prctl(PR_SET_SECCOMP, 2, program) == 0, os.strerror(ctypes.get_errno())


def no_clone():
    memory = new_memory(PAGE)
    memory[:8] = b"all here"
    tell(path=dump(), address=address_of(memory))


def compressible():
    memory = new_memory(64 << 20)
    memory[5:13] = b"packable"
    memory[32 << 20 : (32 << 20) + 4096] = os.urandom(4096)
    tell(path=dump(), address=address_of(memory) + 5)


def monitor_dies():
    """The dump's monitor is killed as soon as there is a clone."""
    memory = new_memory(256 << 20)
    for start in range(0, len(memory), 1 << 20):
        memory[start : start + (1 << 20)] = os.urandom(1 << 10) * (1 << 10)
    beats = [0]

    def beat():
        while True:
            beats[0] += 1
            time.sleep(0.001)

    threading.Thread(target=beat, daemon=True).start()
    paths = []
    asking = threading.Thread(target=lambda: paths.append(dump()))
    asking.start()
    clone, monitor = wait_for_clone()
    os.kill(monitor, signal.SIGKILL)
    asking.join()
    end = time.monotonic() + 20
    while state_of(clone) not in ("Z", None) and time.monotonic() < end:
        time.sleep(0.01)
    before = beats[0]
    time.sleep(0.1)
    again = subprocess.run(["true"], check=False).returncode
    tell(paths=paths, clone_state=state_of(clone), beats=beats[0] - before, again=again)


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def children_of(task):
    return (task / "children").read_text().split()


def wait_for_clone():
    """The clone, and the monitor that traces it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for task in (PROC / "task").iterdir():
            for child in children_of(task):
                lines = Path(f"/proc/{child}/status").read_text().splitlines()
                fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                if fields["State"].startswith("t") and int(fields["TracerPid"]):
                    return int(child), int(fields["TracerPid"])
        time.sleep(0.001)
    raise SystemExit("no clone came")


def crash():
    memory = new_memory(PAGE)
    memory[:8] = b"the last"
    tell(address=address_of(memory))
    ctypes.string_at(0)


def large_crash():
    """More than a disk takes in the time."""
    memory = new_memory(3 << 30)
    piece = os.urandom(1 << 20)
    for start in range(0, len(memory), len(piece)):
        memory[start : start + len(piece)] = piece
    ctypes.string_at(0)


if WAY == "no_clone":
    deny_clones()
lastwords.install(product="dumped", version="1", **SETTINGS)
for _ in range(4):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
globals()[WAY]()
