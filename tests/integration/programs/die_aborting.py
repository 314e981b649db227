"""Dies in the C library's own ways to abort: `die_aborting.py DUMP_DIR assert|heap|stack|plain`."""

from __future__ import annotations

import ctypes
import os
import sys

import lastwords

dump_dir, way = sys.argv[1:]
lastwords.install(product="aborting", version="1", dump_dir=dump_dir)
libc = ctypes.CDLL(None)
if way == "assert":
    libc.__assert_fail(b"index < size", b"src/grid.cpp", 42, b"void Grid::set(int)")
if way == "heap":
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    block = libc.malloc(24)
    libc.free(block)
    libc.free(block)
if way == "stack":
    libc.__stack_chk_fail()
os.abort()
