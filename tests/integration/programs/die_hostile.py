"""Dies with settings given as JSON. usage: die_hostile.py SETTINGS [deny-ptrace]

Prints `still here` after install(): what the application would go on doing.
"""

import ctypes
import json
import os
import sys

faults = ctypes.CDLL(os.environ["LASTWORDS_FAULTS"])
if "deny-ptrace" in sys.argv and faults.faults_deny_ptrace() != 0:
    sys.exit("this kernel has no seccomp")

import lastwords  # noqa: E402

lastwords.install(**json.loads(sys.argv[1]))
lastwords.annotate("purpose", "hostile")
print("still here", flush=True)
faults.fault_write_wild()
