"""What import and `install()` add to this process, in KiB. usage: install_memory.py SPOOL

Three numbers: memory of its own (`Private_Dirty`: nobody shares it, the kernel cannot drop it),
resident memory (with the code of the libraries, which are pages of files), and the memory file that
keeps a copy of the monitor's executable, which no mapping shows.
"""

import os
import re
import sys

DESCRIPTORS = "/proc/self/fd"


def resident_kib():
    with open("/proc/self/smaps_rollup") as file:  # noqa: PTH123  (pathlib would be part of the figure)
        told = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
    return int(told["Private_Dirty"]), int(told["Rss"])


def held_kib():
    held = 0
    for name in os.listdir(DESCRIPTORS):  # noqa: PTH208  (nor are paths)
        path = f"{DESCRIPTORS}/{name}"
        if os.path.lexists(path) and "memfd:lastwords-monitor" in os.readlink(path):  # noqa: PTH115
            held += os.stat(path).st_blocks * 512  # noqa: PTH116
    return held // 1024


resident_kib(), held_kib()
before = resident_kib()
import lastwords  # noqa: E402

lastwords.install(product="bench", version="1", dump_dir=sys.argv[1])
after = resident_kib()
print(after[0] - before[0], after[1] - before[1], held_kib())
