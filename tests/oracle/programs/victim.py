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
import time
import traceback
import types
from pathlib import Path

STACK_BYTES = 64 << 20
DEADLINE_S = 60
INNER = """
exec(
    compile(open({victim!r}).read(), {victim!r}, "exec"),
    dict(__name__="inner", __file__={victim!r}, PLACE=({folder!r}, {name!r}, "FUNCTION")),
)
"""
"""What an interpreter of its own runs, in which nothing is loaded yet."""


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


def lines_of(code):
    """The lines of a code object's instructions; cleaning up after `except` has none."""
    return [line for _, _, line in code.co_lines()] if hasattr(code, "co_lines") else []


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
                "has_lineless": any(line is None for line in lines_of(code)),
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
        self.truth = folder / "truth" / script["name"]
        self.failure = None

    def load(self):
        """Define the functions of the script."""
        name, path = self.script["name"], str(self.folder / self.script["file"])
        module = types.ModuleType(name)
        inner = INNER.format(victim=__file__, folder=str(self.folder), name=name)
        module.__dict__.update(self.spaces, NOTE=self.note, NOTE_OUTER=self.note_outer, INNER=inner)
        sys.modules[name] = module
        exec(compile(Path(path).read_text("utf-8"), path, "exec"), module.__dict__)
        self.module = module

    def enter(self):
        """Go down the script; comes back only when that fails."""
        try:
            self.module.f0()
            self.failure = "the script came to its end"
        except BaseException:  # noqa: BLE001  (told, whatever it is)
            self.failure = traceback.format_exc(limit=-5)

    def note(self, addresses):
        """Called from the native function that will stop."""
        self.write({"python": frames_from(sys._getframe(1)), "native": addresses})
        if self.script["is_last"]:
            print(json.dumps({"pid": os.getpid()}), flush=True)

    def note_outer(self):
        """Called before another interpreter runs the script's rest on this thread."""
        self.write({"python": frames_from(sys._getframe(1))}, ".outer")

    def write(self, truth, kind=""):
        truth["thread_id"] = threading.get_native_id()
        new = self.truth.with_suffix(".new")
        new.write_text(json.dumps(truth), "utf-8")
        new.rename(self.truth.with_suffix(kind + ".json"))

    def start(self, stopped):
        """Run it in a thread until that stops, which `stopped` of each library counts, or fails."""
        end = time.monotonic() + DEADLINE_S
        # Behind its note it may want the GIL once more, which the main thread may keep for ever.
        before = sum(count.value for count in stopped)
        START[self.script["thread"]](self.enter, self.spaces)
        while not self.failure and sum(count.value for count in stopped) == before:
            if time.monotonic() > end:
                self.failure = "the script did not stop"
            time.sleep(0.0005)


START = {
    "threading": lambda enter, spaces: threading.Thread(target=enter, daemon=True).start(),
    "raw": lambda enter, spaces: _thread.start_new_thread(enter, ()),
    "native": lambda enter, spaces: spaces["steps"].start_thread(enter),
}
"""How a script's thread is started: the last is one that Python does not know."""


def load_native(path):
    """The extension module in the file `path`, its functions bound when they are called."""
    sys.setdlopenflags(os.RTLD_LAZY)
    name = Path(path).name.split(".")[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def counter_of(path):
    """How many threads have stopped in the library in the file `path`."""
    try:
        return ctypes.c_int.in_dll(ctypes.CDLL(path), "oracle_stopped")
    except ValueError:
        return ctypes.c_int()


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
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    sys.path.insert(0, str(folder))
    if plan["install"]:
        sys.path.append(plan["install"]["source"])
        importlib.import_module("lastwords").install(
            product="oracle", version="1", dump_dir=plan["install"]["spool"]
        )
    else:
        faulthandler.enable()
    spaces = spaces_of(plan)
    runners = [Runner(folder, script, spaces) for script in plan["scripts"]]
    for runner in runners:
        runner.load()
    stopped = [counter_of(path) for path in plan["extensions"].values()]
    gc.disable()
    sys.setrecursionlimit(100_000)
    threading.stack_size(STACK_BYTES)
    for runner in runners[:-1]:
        runner.start(stopped)
        if runner.failure:
            give_up(runner)
    runners[-1].enter()
    give_up(runners[-1])


def give_up(runner):
    print(runner.script["name"], runner.failure, file=sys.stderr, flush=True)
    os._exit(1)


def go_on(folder, name, function):
    """In an interpreter of its own: run the rest of a script, from `function` on."""
    plan = json.loads((Path(folder) / "plan.json").read_text("utf-8"))
    gc.disable()
    sys.setrecursionlimit(100_000)
    sys.path.insert(0, folder)
    spaces = {"steps": load_native(plan["extensions"]["steps"])}
    [script] = [script for script in plan["scripts"] if script["name"] == name]
    runner = Runner(Path(folder), script, spaces)
    runner.load()
    getattr(runner.module, function)()


if __name__ == "__main__":
    main()
else:
    go_on(*globals()["PLACE"])
