"""The command line: one file per verb, `render/` prints, nothing here computes."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the `lastwords` command."""
    try:
        from lastwords.cli.main import run  # noqa: PLC0415  (click belongs to an extra)
    except ModuleNotFoundError as error:
        print(  # noqa: T201  (click may be what is missing)
            f"error: the command line needs the package {error.name!r}, which is not installed\n"
            "hint: pip install 'lastwords[analyze]'",
            file=sys.stderr,
        )
        sys.exit(4)
    run()
