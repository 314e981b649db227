"""Time of `import lastwords` and of `install()`, in nanoseconds. usage: install.py SPOOL"""

import sys
import time

start = time.perf_counter_ns()
import lastwords  # noqa: E402

imported = time.perf_counter_ns()
lastwords.install(product="bench", version="1", dump_dir=sys.argv[1])
installed = time.perf_counter_ns()
print(imported - start, installed - imported)
