"""Calls a function of a C++ extension that fails, and prints what the Python exception says.

usage: raise_from_cpp.py SPOOL MODULE FUNCTION ARGUMENT… ; the module's folder is on PYTHONPATH
"""

import ctypes
import importlib
import json
import pickle
import sys

import lastwords
from lastwords.sdk.exception import describe

spool, module_name, function_name, *arguments = sys.argv[1:]
lastwords.install(product="throwing", version="1", dump_dir=spool)
module = importlib.import_module(module_name)
if function_name == "fail_for_ctypes":
    function = ctypes.PyDLL(module.__file__).fail_for_ctypes
    function.restype = ctypes.py_object
else:
    function = getattr(module, function_name)
try:
    function(*map(int, arguments))
except Exception as error:
    notes = getattr(error, "__notes__", [])
    facts = {
        "error": [type(error).__name__, str(error)],
        "notes": notes,
        "report": describe(error, error.__traceback__, None, []),
        "pickled": type(pickle.loads(pickle.dumps(notes[0]))).__name__ if notes else None,
    }
    print(json.dumps(facts))
    raise
