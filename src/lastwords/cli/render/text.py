"""Prints an analysis as a page that a person reads; the same without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.breadcrumbs import breadcrumb_lines
from lastwords.cli.render.causes import cause_lines
from lastwords.cli.render.facts import headline, process_facts
from lastwords.cli.render.handles import handle_lines
from lastwords.cli.render.modules import module_lines
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.render.stack import kernel_lines, stack_lines, thread_summary, thread_title
from lastwords.cli.render.styled import Text
from lastwords.cli.render.throws import throw_lines
from lastwords.report.analysis import Thread, is_crash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis

__all__ = ["analysis_lines"]

_SUMMARISED_THREADS = 40


def analysis_lines(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    """The page, line by line."""
    yield headline(analysis)
    yield from process_facts(analysis)
    yield from _section("Likely causes", cause_lines(analysis))
    yield from _crashing_stack(analysis, options)
    yield from throw_lines(analysis, is_folded=options.is_folded, in_app=options.in_app)
    yield from _machine(analysis, options)
    yield from _other_stacks(analysis, options)
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


def _crashing_stack(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    crashing, thread = analysis.crashing_index, analysis.crashing_thread
    if crashing is None or thread is None:
        return
    what = "Crashing thread" if _is_crash(analysis) else "Thread"
    yield from _stack(thread, thread_title(thread, crashing, what), options)
    if options.in_app is not None and any(options.in_app.any_of(one) for one in thread.frames):
        yield Text("       * in-app; --in-app PATTERN says what is", style="dim")


def _machine(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    state = options.machine
    if state is None:
        return
    from lastwords.cli.render import machine  # noqa: PLC0415  (on request, 3 ms)

    if options.are_registers_shown:
        is_crashing = analysis.crashing_thread and state.thread == analysis.crashing_index
        thread = analysis.crashing_thread if is_crashing else analysis.threads[state.thread]
        yield from machine.register_section(state, thread or Thread())
    if options.is_memory_shown:
        yield from machine.memory_sections(state)


def _other_stacks(analysis: Analysis, options: TextOptions) -> Iterator[Text]:
    crashing = analysis.crashing_index
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
        in_app=options.in_app,
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
