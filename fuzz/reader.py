"""The child: analyses each dump that a line on stdin names, and says on stdout how it went.

Line in: `DUMP<tab>SYMBOLS<tab>MAX_WHOLE_BYTES`, of which the latter two may be empty. Line out:
`ok`, or the error's code.
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
        dump, symbols, most = line.rstrip("\n").split("\t")
        options = {"symbols": [symbols] if symbols else [], "local_modules": False}
        if most:
            options["max_whole_bytes"] = int(most)
        try:
            json.loads(_native.analyze_dump(dump, json.dumps(options).encode()))
            answer = "ok"
        except _native.CoreError as error:
            answer = str(error.args[0])
        print(answer, flush=True)


if __name__ == "__main__":
    _main()
