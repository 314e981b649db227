"""Analyse the dump `argv[1]` with the options `argv[2]`; print how long the core took, in ns."""

from __future__ import annotations

import sys
import time

from lastwords import _native


def main() -> None:
    """Measure one call: all that a fresh process has not paid before is in it."""
    path, options = sys.argv[1], sys.argv[2].encode()
    start_ns = time.monotonic_ns()
    _native.analyze_dump(path, options)
    print(time.monotonic_ns() - start_ns)


if __name__ == "__main__":
    main()
