"""A process with so many MiB of private memory, each page of which was written to.

usage: touched_memory.py MIB
"""

import mmap
import sys

memory = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for start in range(0, len(memory), mmap.PAGESIZE):
    memory[start] = start >> 12 & 0xFF
print("ready", flush=True)
sys.stdin.readline()
