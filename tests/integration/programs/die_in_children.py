"""A child of multiprocessing crashes: `die_in_children.py METHOD`; each process installs itself."""

import ctypes
import multiprocessing
import os
import sys

import lastwords

lastwords.install(product="p", version="1", dump_dir=os.environ["DUMPS"])


def work() -> None:
    lastwords.annotate("who", "child")
    ctypes.string_at(0x10)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work)
    process.start()
    process.join(60)
    print(process.exitcode)
