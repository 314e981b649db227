"""A Python process of five threads, some in C code that calls Python: `json`, `re`, `sorted`."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def deep(count: int, ready: threading.Event) -> None:
    """Wait for ever below so many calls."""
    if count:
        deep(count - 1, ready)
    ready.set()
    time.sleep(3600)


def main() -> None:
    """Print a line when all threads are where they stay, then wait."""
    works: list[Callable[[threading.Event], object]] = [
        lambda ready: deep(5, ready),
        lambda ready: sorted([3, 1, 2], key=lambda _: deep(2, ready) or 0),
        lambda ready: re.sub("a", lambda _: str(deep(1, ready)), "aaa"),
        lambda ready: json.loads('{"a": 1}', object_hook=lambda _: deep(0, ready)),
    ]
    for work in works:
        ready = threading.Event()
        threading.Thread(target=work, args=(ready,), daemon=True).start()
        ready.wait()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
