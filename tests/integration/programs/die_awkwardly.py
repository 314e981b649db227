"""Arm, make the report as hard as possible, crash: `die_awkwardly.py SETTINGS WAY`."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from die_cornered import SYS_PRCTL, refuse

import lastwords

SYS_EXIT = 60
PR_SET_DUMPABLE, PR_CAPBSET_DROP, CAP_SYS_PTRACE = 4, 24, 19
FREEZER = """
import os, signal, sys, time
pid, monitor, sleeper = map(int, sys.argv[1:])
end = time.monotonic() + 20
while time.monotonic() < end:
    with open(f"/proc/{pid}/task/{sleeper}/status") as status:
        if f"TracerPid:\\t{monitor}\\n" in status.read():
            os.kill(monitor, signal.SIGSTOP)
            time.sleep(15)
            os.kill(monitor, signal.SIGKILL)
"""
"""Stops the monitor as soon as it has a thread in its hands; kills it when nobody else did."""


def crash() -> None:
    ctypes.string_at(0x10)


def stack_pointer_lost(_monitor: int) -> None:
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x48\xc7\xc4\x10\x00\x00\x00\x50")  # mov rsp, 0x10; push rax
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.PYFUNCTYPE(None)(address)()


def main_thread_gone(_monitor: int) -> None:
    def wait_and_crash() -> None:
        status = Path(f"/proc/self/task/{os.getpid()}/status")
        while "State:\tZ" not in status.read_text():
            time.sleep(0.01)
        crash()

    threading.Thread(target=wait_and_crash, name="worker").start()
    ctypes.CDLL(None).syscall(SYS_EXIT, 0)


def threads_come_and_go(_monitor: int) -> None:
    def churn() -> None:
        while True:
            threading.Thread(target=int).start()

    for _ in range(4):
        threading.Thread(target=churn, daemon=True).start()
    time.sleep(0.2)
    # Not holding the GIL, so that threads go on coming and going while this one crashes.
    ctypes.CDLL(None).strlen(0x10)


def full_stderr() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    os.dup2(writing, 2)
    os.set_inheritable(reading, True)


def stderr_full(_monitor: int) -> None:
    full_stderr()
    crash()


def stderr_broken(_monitor: int) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    signal.pthread_kill(threading.get_ident(), signal.SIGSYS)


def disarmed_but_chained(_monitor: int) -> None:
    faulthandler.enable()
    lastwords.uninstall()
    crash()


def second_signal(monitor: int) -> None:
    os.kill(monitor, signal.SIGSTOP)
    kill = f"sleep 0.5; kill -ABRT {os.getpid()}; sleep 0.5; kill -CONT {monitor}"
    subprocess.Popen(["sh", "-c", kill], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    crash()


def cancelled(_monitor: int) -> None:
    libc = ctypes.PyDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    libc.pthread_cancel.argtypes = (ctypes.c_ulong,)
    # No other Python thread runs, so nothing in between waits for the GIL and is cancelled there.
    libc.pthread_cancel(libc.pthread_self())
    libc.strlen(0x10)


def monitor_frozen(monitor: int) -> None:
    sleepers = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(64)]
    for sleeper in sleepers:
        sleeper.start()
    watched = sleepers[0].native_id
    arguments = [str(number) for number in (os.getpid(), monitor, watched)]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-I", "-c", FREEZER, *arguments], **streams)
    time.sleep(0.5)
    crash()


def environment_in_register(_monitor: int) -> None:
    libc = ctypes.PyDLL(None)
    environment = ctypes.POINTER(ctypes.c_void_p).in_dll(libc, "environ")
    entry = environment[list(os.environ).index("TEST_PLANTED")]
    libc.strcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    libc.strcmp(0x10, entry)


def nothing_allowed(_monitor: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    refuse(SYS_PRCTL)
    crash()


def many_mappings(_monitor: int) -> None:
    libc = ctypes.CDLL(None)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    folder = Path.home() / ("long" * 30)
    folder.mkdir()
    pages = 60_000
    with (folder / ("name" * 30)).open("wb+") as file:
        file.truncate(pages * 4096)
        memory = mmap.mmap(file.fileno(), 0)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in range(0, pages, 2):
        assert libc.mprotect(start + page * 4096, 4096, mmap.PROT_READ) == 0
    crash()


def plain(_monitor: int) -> None:
    crash()


def file_size_limited(monitor: int) -> None:
    """The monitor that the handler starts inherits the limit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    soft, hard = json.loads(os.environ["TEST_LIMIT"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard or resource.RLIM_INFINITY))
    os.kill(monitor, signal.SIGKILL)
    crash()


WAYS = {
    function.__name__.replace("_", "-"): function
    for function in (
        cancelled, disarmed_but_chained, environment_in_register, file_size_limited,
        main_thread_gone, many_mappings, monitor_frozen, nothing_allowed, plain, second_signal,
        stack_pointer_lost, stderr_broken, stderr_full, threads_come_and_go,
    )
}  # fmt: skip


def main() -> None:
    settings, way = json.loads(sys.argv[1]), sys.argv[2]
    if way == "nothing-allowed" and os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0) == 0
    installation = lastwords.install(product="awkward", version="1", **settings)
    assert installation.monitor_pid is not None
    WAYS[way](installation.monitor_pid)


if __name__ == "__main__":
    main()
