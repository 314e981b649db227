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
    "python-stream.md": "crates/format/src/streams/python.rs",
    "shared-area.md": "crates/capture/src/shared.rs",
    "calibration.md": "crates/pyframes/src/calibrate/block.rs",
    "extended-state-stream.md": "crates/monitor/src/write/extended_state.rs",
    "throw-rings.md": "crates/capture/src/throws/layout.rs",
    "monitor-protocol.md": "crates/capture/src/protocol.rs",
}
"""Page → the source file whose module comment it is."""


def page(name: str) -> str:
    """Return the text of a page: its source's module comment, with a heading.

    Raises:
        ValueError: The file has no module comment.
    """
    source = PAGES[name]
    lines = []
    for line in (_REPOSITORY / source).read_text("utf-8").splitlines():
        if not line.startswith("//!"):
            break
        lines.append(line.removeprefix("//!").removeprefix(" "))
    if not lines:
        raise ValueError(f"{source} has no module comment")
    heading = f"<!-- Written by docs/formats/from_source.py from {source}: change it there. -->"
    title = Path(name).stem.replace("-", " ")
    return "\n".join([heading, "", f"# Format: {title}", "", *lines, ""])


def write_pages() -> None:
    """Write all pages."""
    for name in PAGES:
        (_HERE / name).write_text(page(name), "utf-8")


if __name__ == "__main__":
    write_pages()
