"""Prints an analysis as a page that a person reads; the same without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from lastwords.cli.render.breadcrumbs import breadcrumb_lines
from lastwords.cli.render.causes import cause_lines
from lastwords.cli.render.facts import headline, process_facts
from lastwords.cli.render.handles import handle_lines
from lastwords.cli.render.modules import module_lines
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.render.stack import kernel_lines, stack_lines, thread_summary, thread_title
from lastwords.cli.render.throws import throw_lines
from lastwords.report.analysis import is_crash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis, Thread

__all__ = ["analysis_lines", "write_analysis"]

_SUMMARISED_THREADS = 40


def write_analysis(analysis: Analysis, options: TextOptions) -> None:
    """Write the page to stdout; colours only on terminals, and not with `NO_COLOR`."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for line in analysis_lines(analysis, options):
        console.print(line)


def analysis_lines(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    """The page, line by line."""
    yield headline(analysis)
    yield from process_facts(analysis)
    yield from _section("Likely causes", cause_lines(analysis))
    yield from _stacks(analysis, options)
    yield from _section("Breadcrumbs", breadcrumb_lines(analysis))
    if options.are_handles_shown:
        yield from _section("Handles", handle_lines(analysis))
    yield from _section("Modules", module_lines(analysis))
    yield from _section("Not available", _soft_error_lines(analysis))


def _section(title: str, lines: Iterator[Text]) -> Iterator[Text]:
    first = next(lines, None)
    if first is None:
        return
    yield Text()
    yield Text(title, style="bold")
    yield first
    yield from lines


def _stacks(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    crashing = analysis.crashing_index
    if crashing is not None and analysis.crashing_thread is not None:
        what = "Crashing thread" if _is_crash(analysis) else "Thread"
        title = thread_title(analysis.crashing_thread, crashing, what)
        yield from _stack(analysis.crashing_thread, title, options)
    yield from throw_lines(analysis, is_folded=options.is_folded)
    others = [(i, thread) for i, thread in enumerate(analysis.threads) if i != crashing]
    if options.stacks is StackChoice.ALL or (crashing is None and len(others) == 1):
        for index, thread in others:
            yield from _stack(thread, thread_title(thread, index, "Thread"), options)
    elif options.stacks is StackChoice.SUMMARY:
        heading = "Other threads" if crashing is not None else "Threads"
        yield from _section(heading, _summaries(others))


def _is_crash(analysis: Analysis) -> bool:
    return analysis.crash_info is None or is_crash(analysis.crash_info.type)


def _stack(thread: Thread, title: Text, options: TextOptions) -> Iterator[Text]:
    yield Text()
    yield title
    yield from kernel_lines(thread)
    yield from stack_lines(
        thread,
        is_plumbing_shown=options.is_plumbing_shown,
        is_folded=options.is_folded,
        sources=options.sources,
    )


def _summaries(threads: list[tuple[int, Thread]]) -> Iterator[Text]:
    for index, thread in threads[:_SUMMARISED_THREADS]:
        yield thread_summary(thread, index)
    if len(threads) > _SUMMARISED_THREADS:
        yield Text(f"  {len(threads) - _SUMMARISED_THREADS} more: --threads all", style="dim")


def _soft_error_lines(analysis: Analysis) -> Iterator[Text]:
    for error in analysis.soft_errors:
        where = f"{error.where}: " if error.where else ""
        yield Text(f"  {where}{error.message or 'no message'} [{error.code or 'no code'}]")
