"""Runs the call scripts of a folder, one in each thread, and writes down what each stack truly is.

    python victim.py FOLDER

`plan.json` of the folder names the scripts and what is there beside the interpreter. Each script
stops in a native function, which first calls `note`: that writes `truth/SCRIPT.json` with the
thread's id, its Python frames as `sys._getframe` gives them, and its return addresses as the C
library's unwinder gives them. The main thread runs the last script, when all others have stopped,
and says so by a line on stdout.

Runs in CPython 3.9 and later, with the standard library alone.
"""

import _thread
import ctypes
import faulthandler
import gc
import importlib.util
import json
import os
import sys
import threading
import traceback
import types

STACK_BYTES = 64 << 20
DEADLINE_S = 60


def place_of(frame):
    """Where a frame is: line, end line, column, end column; columns are bytes, as in PEP 657."""
    code = frame.f_code
    if not hasattr(code, "co_positions"):
        return [frame.f_lineno, None, None, None]
    for index, position in enumerate(code.co_positions()):
        if index == frame.f_lasti // 2:
            line, end_line, column, end_column = position
            return [line, end_line, column, end_column]
    return [frame.f_lineno, None, None, None]


def frames_from(frame):
    """The frame and its callers, newest first."""
    found = []
    while frame is not None:
        code = frame.f_code
        found.append(
            {
                "name": code.co_name,
                "qualname": getattr(code, "co_qualname", None),
                "file": code.co_filename,
                "place": place_of(frame),
                "line_of_frame": frame.f_lineno,
            }
        )
        frame = frame.f_back
    return found


class Runner:
    """One script in one thread."""

    def __init__(self, folder, script, spaces):
        self.folder = folder
        self.script = script
        self.spaces = spaces
        self.stopped = threading.Lock()
        self.stopped.acquire()
        self.failure = None
        self.part = 0

    def load(self):
        """Define the functions of the script."""
        path = os.path.join(self.folder, self.script["file"])
        with open(path, encoding="utf-8") as file:
            text = file.read()
        module = types.ModuleType(self.script["name"])
        module.__dict__.update(self.spaces, NOTE=self.note, __file__=path)
        sys.modules[module.__name__] = module
        exec(compile(text, path, "exec"), module.__dict__)
        self.module = module

    def enter(self):
        """Go down the script; comes back only when that fails."""
        try:
            self.module.f0()
            self.failure = "the script came to its end"
        except BaseException:
            self.failure = traceback.format_exc(limit=-5)
        self.stopped.release()

    def note(self, addresses):
        """Called from the native function that will stop."""
        self.write({"python": frames_from(sys._getframe(1)), "native": addresses})
        if self.script["is_last"]:
            print(json.dumps({"pid": os.getpid()}), flush=True)
        else:
            self.stopped.release()

    def write(self, truth):
        truth["thread_id"] = threading.get_native_id()
        path = os.path.join(self.folder, "truth", self.script["name"])
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(truth, file)
        os.rename(path + ".new", path + ".json")


def load_native(path):
    """The extension module in the file `path`."""
    name = os.path.basename(path).split(".")[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def spaces_of(plan):
    """What the scripts find as global names beside their own."""
    spaces = {"LIBC": ctypes.CDLL(None)}
    for name, path in plan["extensions"].items():
        spaces[name] = load_native(path)
    if plan["rust"]:
        spaces["RUST"] = ctypes.CDLL(plan["rust"])
        spaces["RUST_HOLDING"] = ctypes.PyDLL(plan["rust"])
    sys.path += plan["path"]
    if "greenlet" in plan["has"]:
        spaces["greenlet"] = importlib.import_module("greenlet")
    return spaces


def main():
    faulthandler.enable()
    folder = sys.argv[1]
    with open(os.path.join(folder, "plan.json"), encoding="utf-8") as file:
        plan = json.load(file)
    sys.path.insert(0, folder)
    spaces = spaces_of(plan)
    runners = [Runner(folder, script, spaces) for script in plan["scripts"]]
    for runner in runners:
        runner.load()
    gc.disable()
    sys.setrecursionlimit(100_000)
    threading.stack_size(STACK_BYTES)
    for runner in runners[:-1]:
        if runner.script["is_raw_thread"]:
            _thread.start_new_thread(runner.enter, ())
        else:
            threading.Thread(target=runner.enter, daemon=True).start()
        if not runner.stopped.acquire(timeout=DEADLINE_S):
            runner.failure = "the script did not stop"
    runners[-1].enter()
    for runner in runners:
        if runner.failure:
            print(runner.script["name"], runner.failure, file=sys.stderr)
    os._exit(1)


main()
