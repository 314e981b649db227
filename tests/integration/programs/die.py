"""Installs lastwords, says who it is, and dies of one fault of `crates/faults`.

usage: die.py FAULT {main,python_thread,native_thread} [faulthandler-before|faulthandler-after]

FAULT is the name of a `fault_*` function, or `kill-SIGNAL` for a signal sent by tgkill.
"""

import ctypes
import faulthandler
import json
import os
import sys
import threading
from pathlib import Path

import lastwords

FAULT, WHERE = sys.argv[1:3]
FAULTHANDLER = sys.argv[3] if len(sys.argv) > 3 else None
FAULTS = ctypes.CDLL(os.environ["LASTWORDS_FAULTS"])


def tell_facts():
    frame = sys._getframe(1)
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name])
        frame = frame.f_back
    facts = {
        "pid": os.getpid(),
        "tid": threading.get_native_id(),
        "main_tid": os.getpid(),
        "python_frames": frames,
        "maps": Path("/proc/self/maps").read_text("utf-8"),
    }
    print(json.dumps(facts), flush=True)
    return facts


def innermost():
    if FAULT.startswith("kill-"):
        number = int(FAULT.removeprefix("kill-"))
        tell_facts() and FAULTS.faults_kill_thread(number)
    elif WHERE == "native_thread":
        tell_facts() and FAULTS.faults_in_native_thread(getattr(FAULTS, FAULT))
    else:
        tell_facts() and getattr(FAULTS, FAULT)()
    sys.exit(f"{FAULT} did not end the process")


def outermost():
    innermost()


if FAULTHANDLER == "faulthandler-before":
    faulthandler.enable()
lastwords.install(product="dying", version="1.2.3", dump_dir=os.environ.get("TEST_DUMP_DIR"))
lastwords.annotate("purpose", "test")
if FAULTHANDLER == "faulthandler-after":
    faulthandler.enable()

if WHERE == "python_thread":
    thread = threading.Thread(target=outermost, name="dying thread")
    thread.start()
    thread.join()
else:
    outermost()
