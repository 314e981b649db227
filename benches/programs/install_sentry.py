"""Time of `import sentry_sdk` and of `init()`, in nanoseconds. usage: install_sentry.py PACKAGES"""

import sys
import time

sys.path.insert(0, sys.argv[1])
start = time.perf_counter_ns()
import sentry_sdk  # noqa: E402

imported = time.perf_counter_ns()
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1")
installed = time.perf_counter_ns()
print(imported - start, installed - imported)
