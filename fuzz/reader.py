"""The child: analyses each dump that a line on stdin names, and says on stdout how it went.

Line in: `DUMP` or `DUMP<tab>SYMBOLS`. Line out: `ok`, or the error's code.
"""

from __future__ import annotations

import json
import resource
import sys

MEMORY_BYTES = 2 << 30


def _main() -> None:
    from lastwords import _native

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        dump, _, symbols = line.rstrip("\n").partition("\t")
        options = {"symbols": [symbols] if symbols else [], "local_modules": False}
        try:
            json.loads(_native.analyze_dump(dump, json.dumps(options).encode()))
            answer = "ok"
        except _native.CoreError as error:
            answer = str(error.args[0])
        print(answer, flush=True)


if __name__ == "__main__":
    _main()
