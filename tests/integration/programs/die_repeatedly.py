"""One warm process whose forked children die: `die_repeatedly.py SETTINGS`.

Each line on stdin is a JSON object and one death; the answer is a JSON line on stdout:

| asked | meaning |
|---|---|
| `order` | for crates/faults/src/bin/faulty-monitor; null = none |
| `threads` | threads that sleep beside the one that dies |
| `file_size` | limit of the size of files, in bytes, or null |
| `deadline_s` | when the child is killed, which is a finding |

`{"pid", "status", "seconds", "stderr", "zombies", "descriptors", "maps"}`: process id of the child,
its status (waitpid(2)), its life, what it wrote to stderr, and what this process has of it
afterwards.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import lastwords

FOLDER = Path(os.environ["TEST_INJECT_DIR"])
string_at = ctypes.string_at


def die(asked: dict[str, object], errors: int) -> None:
    os.dup2(errors, 2)
    if asked.get("order"):
        (FOLDER / str(os.getpid())).write_text(str(asked["order"]))
    for _ in range(int(str(asked.get("threads", 0)))):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    size = asked.get("file_size")
    if isinstance(size, int):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    string_at(0x10)


def wait(pid: int, deadline_s: float) -> int:
    """Status of the child, which is killed after the deadline."""
    process = os.pidfd_open(pid)
    try:
        import select  # noqa: PLC0415

        if not select.select([process], [], [], deadline_s)[0]:
            os.kill(pid, signal.SIGALRM)  # not blocked by anybody, and nothing else ends it so
            if not select.select([process], [], [], 5)[0]:
                os.kill(pid, signal.SIGKILL)
    finally:
        os.close(process)
    return os.waitpid(pid, 0)[1]


def has_zombies() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    lastwords.install(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.monotonic()
        reading, errors = os.pipe()  # no file, whose size may be limited
        pid = os.fork()
        if pid == 0:
            die(asked, errors)
        os.close(errors)
        status = wait(pid, float(asked.get("deadline_s", 20)))
        seconds = time.monotonic() - started
        with open(reading, encoding="utf-8", errors="replace") as said:  # noqa: PTH123  (a number)
            text = said.read()
        answer = {
            "pid": pid,
            "status": status,
            "seconds": seconds,
            "stderr": text,
            "zombies": has_zombies(),
            "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208  (nothing is kept open)
            "maps": Path("/proc/self/maps").read_bytes().count(b"\n"),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
