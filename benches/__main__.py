"""`python -m benches`: measure every promise, print the table, write it into the docs."""

from __future__ import annotations

import datetime as dt
import sys

from benches.analyse_time import analyse_time
from benches.bulk import bulk
from benches.capture_time import capture_time
from benches.full_dump_time import full_dump_time
from benches.install_cost import install_cost
from benches.large_dump import large_dump
from benches.measure import REPOSITORY, Row, machine
from benches.monitor_cost import monitor_cost
from benches.numpy_dump import numpy_dump
from benches.stacks_time import stacks_time
from benches.symbol_cache import symbol_cache
from benches.text_symbols import text_symbols
from benches.thread_creation import thread_creation
from benches.throw_cost import throw_cost

PROMISES = [
    install_cost,
    capture_time,
    full_dump_time,
    numpy_dump,
    monitor_cost,
    thread_creation,
    throw_cost,
    analyse_time,
    stacks_time,
    symbol_cache,
    text_symbols,
    large_dump,
    bulk,
]
DOCUMENT = REPOSITORY / "docs/performance.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(rows: list[Row]) -> str:
    lines = [
        "| promise | must reach | lastwords | | peer | ratio | the peer | measured by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peer = f"{_figure(row.peer_value)} {row.unit}" if row.peer_value is not None else "-"
        ratio = f"{row.ratio:.2g}" if row.ratio is not None else "-"
        lines.append(
            f"| {row.promise} | {row.must} | {_figure(row.value)} {row.unit} | {row.verdict} "
            f"| {peer} | {ratio} | {row.peer or '-'} | {row.command} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write; with names of promises, measure and print those alone."""
    rows = []
    chosen = [promise for promise in PROMISES if promise.__name__ in sys.argv[1:]]
    for promise in chosen or PROMISES:
        print(f"measuring {promise.__name__} …", flush=True)
        rows += promise()
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    table = f"Measured on {today} by `make bench` on {machine()}.\n\n{_table(rows)}"
    print("\n" + table)
    if chosen:
        return
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")
    print(f"written to {DOCUMENT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
