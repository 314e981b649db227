"""Eight threads with numpy, and a fault. usage: numpy_threads.py SPOOL PACKAGES; stdin: zstd?"""

import ctypes
import sys
import threading
import time

spool, packages = sys.argv[1:]
sys.path.insert(0, packages)

import numpy as np  # noqa: E402

import lastwords  # noqa: E402

started = threading.Barrier(8)
lastwords.install(
    product="bench", version="1", dump_dir=spool, compress_dumps=sys.stdin.read() == "zstd"
)


def work():
    field = np.random.default_rng(1).random((300, 300))
    started.wait()
    field @ field
    time.sleep(600)


for _ in range(7):
    threading.Thread(target=work, daemon=True).start()
started.wait()
ctypes.string_at(0)
