"""Write the pages of the private formats anew from the source that implements them.

The offset tables stand once, at the top of the module that reads and writes the bytes; a test
fails when a page says anything else.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["PAGES", "page", "write_pages"]

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]

PAGES = {
    "python-stream.md": ("crates/format/src/streams/python.rs",),
    "shared-area.md": ("crates/capture/src/shared.rs",),
    "calibration.md": ("crates/pyframes/src/calibrate/block.rs",),
    "extended-state-stream.md": ("crates/monitor/src/write/extended_state.rs",),
    "throw-rings.md": ("crates/capture/src/throws/layout.rs",),
    "monitor-protocol.md": ("crates/capture/src/protocol.rs",),
    "symbol-cache.md": (
        "crates/symbols/src/cache/layout.rs",
        "crates/unwind/src/rules.rs",
        "crates/unwind/src/steps.rs",
    ),
}
"""Page → the source files whose module comments it is."""


def page(name: str) -> str:
    """Return the text of a page: its sources' module comments, with a heading.

    Raises:
        ValueError: A file has no module comment.
    """
    sources = PAGES[name]
    written_from = " and ".join(sources)
    heading = (
        f"<!-- Written by docs/formats/from_source.py from {written_from}: change it there. -->"
    )
    title = Path(name).stem.replace("-", " ")
    parts = [heading, f"# Format: {title}", *map(_module_comment, sources)]
    return "\n\n".join(parts) + "\n"


def _module_comment(source: str) -> str:
    lines = []
    for line in (_REPOSITORY / source).read_text("utf-8").splitlines():
        if not line.startswith("//!"):
            break
        lines.append(line.removeprefix("//!").removeprefix(" "))
    if not lines:
        raise ValueError(f"{source} has no module comment")
    return "\n".join(lines)


def write_pages() -> None:
    """Write all pages."""
    for name in PAGES:
        (_HERE / name).write_text(page(name), "utf-8")


if __name__ == "__main__":
    write_pages()
