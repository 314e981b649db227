"""One thread spins, another faults, each with a pattern in ymm8; prints their ids.

usage: die_with_vectors.py LIBRARY SETTINGS-JSON
"""

import ctypes
import json
import sys
import threading

import lastwords

LIBRARY = ctypes.CDLL(sys.argv[1])
lastwords.install(product="vectors", version="1", **json.loads(sys.argv[2]))

ready = ctypes.c_int()
spinning = threading.Thread(
    target=LIBRARY.spin, args=(bytes(range(100, 132)), ctypes.byref(ready)), daemon=True
)
spinning.start()
while not ready.value:
    pass
print(json.dumps({"spins": spinning.native_id, "dies": threading.get_native_id()}), flush=True)
LIBRARY.fault(bytes(range(200, 232)))
