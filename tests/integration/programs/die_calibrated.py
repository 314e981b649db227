"""Installs lastwords, changes something about its calibration, and dies.

usage: die_calibrated.py SETTINGS-JSON WAY

The calibration's block stands in the shared area (docs/formats/shared-area.md, calibration.md). Not
every interpreter under test has ctypes: WAY `hidden` needs none.
"""

import json
import os
import signal
import struct
import sys
import threading
import time
from pathlib import Path

import lastwords

if "hidden" not in sys.argv:
    import ctypes

    from die_cornered import SYS_VM_READ, refuse

SETTINGS, WAY = json.loads(sys.argv[1]), sys.argv[2]
BLOCK = 128 + 8
OFFSETS = 40
CORRECTED = 24
CODE_FILE, CODE_NAME = 25, 26


def area():
    """Address of the shared area."""
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    (line,) = (line for line in lines if "/memfd:lastwords " in line and " rw-s " in line)
    return int(line.split("-")[0], 16)


def checksum(content):
    value = 0x811C9DC5
    for byte in content:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def alter():
    """As if the name of a function were where that of its file is, and this had been found out."""
    block = area() + BLOCK
    (count,) = struct.unpack("<I", ctypes.string_at(block + 12, 4))
    content = bytearray(ctypes.string_at(block, OFFSETS + 4 * count))
    (file,) = struct.unpack_from("<I", content, OFFSETS + 4 * CODE_FILE)
    struct.pack_into("<I", content, OFFSETS + 4 * CODE_NAME, file)
    struct.pack_into("<Q", content, CORRECTED, 1 << CODE_NAME)
    struct.pack_into("<I", content, 4, checksum(content[8:]))
    ctypes.memmove(block, bytes(content), len(content))


def the_function_that_dies():
    os.kill(os.getpid(), signal.SIGSEGV)


if WAY == "threads":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
if WAY == "refused":
    refuse(SYS_VM_READ)
lastwords.install("calibrated", "1", **SETTINGS)
if WAY == "damaged":
    ctypes.memset(area() + BLOCK + OFFSETS, 0x41, 8)
if WAY == "altered":
    alter()
the_function_that_dies()
