"""Dies in one way of the fault matrix: `die_matrix.py WAY main|worker|native FOLDER`.

Started with `-I -S`: nothing but the standard library and lastwords is on the path. Leaves in
FOLDER what is true of it just before the end: `maps`, and `facts.json` with process id, thread id
and Python frames.
"""

import sys

sys.path[:0] = sys.argv[4:]

import ctypes  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import lastwords  # noqa: E402

WAY, KIND = sys.argv[1:3]
FOLDER = Path(sys.argv[3])
LIBRARIES = [ctypes.CDLL(os.environ[name]) for name in ("LASTWORDS_FAULTS", "TEST_FAULTS_CPP")]


def tell_facts():
    frame = sys._getframe(1)
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name])
        frame = frame.f_back
    facts = {"pid": os.getpid(), "tid": threading.get_native_id(), "python_frames": frames}
    (FOLDER / "facts.json").write_text(json.dumps(facts))
    (FOLDER / "maps").write_text(Path("/proc/self/maps").read_text())
    return True


def find_way():
    for library in LIBRARIES:
        if hasattr(library, WAY):
            return getattr(library, WAY)
    import python_ways  # noqa: PLC0415  (only where it is needed: it loads a lot)

    return getattr(python_ways, WAY)


def innermost(way):
    # One line, whose number is told: a signal to the whole process may kill it a moment later.
    if KIND == "native":
        tell_facts() and (LIBRARIES[0].faults_in_native_thread(way), time.sleep(2))
    else:
        tell_facts() and (way(), time.sleep(2))
    sys.exit(f"{WAY} did not end the process")


def outermost(way):
    innermost(way)


resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if os.environ.get("LASTWORDS_ENABLED") != "0":
    lastwords.install(product="matrix", version="1.2.3", dump_dir=f"{FOLDER}/spool")
    lastwords.annotate("way", WAY)
if KIND == "worker":
    thread = threading.Thread(target=outermost, args=(find_way(),), name="dying worker")
    thread.start()
    thread.join()
else:
    outermost(find_way())
