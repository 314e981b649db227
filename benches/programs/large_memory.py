"""A process with so much private memory, that counts the time it stands still.

usage: large_memory.py SPOOL MIB {dump,wait}

`dump`: prints milliseconds of a full dump, longest standstill meanwhile, bytes of the dump.
`wait`: prints its process id; after a line on stdin, the longest standstill since then.
"""

import json
import mmap
import os
import sys
import threading
import time
from pathlib import Path

import lastwords

spool, size_mib, what = sys.argv[1:]
lastwords.install(product="bench", version="1", dump_dir=spool, min_free_mb=0, quiet=True)
memory = mmap.mmap(-1, int(size_mib) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
piece = os.urandom(1 << 20)
for start in range(0, len(memory), len(piece)):
    memory[start : start + len(piece)] = piece
longest = 0.0


def beat():
    global longest
    last = time.monotonic()
    while True:
        time.sleep(0.0005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now


threading.Thread(target=beat, daemon=True).start()
time.sleep(0.2)
longest = 0.0
if what == "wait":
    print(os.getpid(), flush=True)
    sys.stdin.readline()
    time.sleep(0.1)
    print(longest * 1e3, flush=True)
else:
    begin = time.monotonic()
    report = lastwords.dump("full")
    taken = time.monotonic() - begin
    time.sleep(0.1)
    dump = json.loads((Path(report) / "report.json").read_text())["dump"]
    print(taken * 1e3, longest * 1e3, dump["size_bytes"])
