"""Throws with and without capture in turns, one process; prints a line per turn and depth.

usage: throw_cost.py SPOOL LIBRARY
"""

import ctypes
import sys

import lastwords

TURNS = 31
TIMES = 10_000

spool, library = sys.argv[1:]
throw_and_catch = ctypes.CDLL(library).throw_and_catch
throw_and_catch.restype = ctypes.c_double
for turn in range(TURNS + 1):
    for depth in (1, 20):
        lastwords.install(product="bench", version="1", dump_dir=spool, max_throws_per_s=0)
        with_capture = throw_and_catch(depth, TIMES)
        lastwords.uninstall()
        without = throw_and_catch(depth, TIMES)
        if turn:  # the first one warms up
            print(depth, with_capture, without)
