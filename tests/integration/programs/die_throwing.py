"""Installs lastwords, calls functions of a library that throw, and dies of `abort()` at the end.

usage: die_throwing.py SPOOL LIBRARY CALL... where CALL is NAME:NUMBER,NUMBER…
"""

import ctypes
import json
import os
import sys

import lastwords

spool, path, *calls = sys.argv[1:]
is_early = os.environ.get("TEST_LIBRARY_FIRST") == "1"
library = ctypes.CDLL(path) if is_early else None
settings = json.loads(os.environ.get("TEST_SETTINGS", "{}"))
lastwords.install(product="throwing", version="1", dump_dir=spool, **settings)
library = library or ctypes.CDLL(path)
answers = {}
for call in calls:
    name, _, numbers = call.partition(":")
    arguments = [int(number) for number in numbers.split(",") if number]
    answers[call] = getattr(library, name)(*arguments)
print(json.dumps(answers), flush=True)
ctypes.CDLL(None).abort()
