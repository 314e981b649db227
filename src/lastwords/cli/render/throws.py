"""The exceptions of C++ that were thrown before the crash, with the stack of a throw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.cli.render.clean import clean
from lastwords.cli.render.frames import frame_title
from lastwords.cli.render.stack import frame_lines
from lastwords.cli.render.styled import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lastwords.report.analysis import Analysis, Throw
    from lastwords.signature.in_app import InApp

__all__ = ["throw_lines"]

_SUMMARISED_THROWS = 8


def throw_lines(
    analysis: Analysis, *, is_folded: bool, in_app: InApp | None = None
) -> Iterator[Text]:
    """The throw that matters with its stack, then a line for each of the others."""
    throws = analysis.throws
    if not throws:
        return
    chosen, title = _chosen(analysis)
    yield Text()
    yield from _throw(throws[chosen], title, is_folded=is_folded, in_app=in_app)
    primary = throws[chosen].primary
    if primary is not None and 0 <= primary < len(throws):
        title = f"The exception was made by a throw in {_thread(throws[primary])}"
        yield from _throw(throws[primary], title, is_folded=is_folded, in_app=in_app)
    others = [throw for index, throw in enumerate(throws) if index not in {chosen, primary}]
    if others:
        yield Text("  Older and other throws", style="dim")
    for throw in others[:_SUMMARISED_THROWS]:
        yield Text(f"  {_thread(throw)}: {_what(throw)}{_origin(throw)}")
    if len(others) > _SUMMARISED_THROWS:
        yield Text(f"  {len(others) - _SUMMARISED_THROWS} more: --json", style="dim")


def _chosen(analysis: Analysis) -> tuple[int, str]:
    """What the process died of, else the newest of the crashing thread, else the newest."""
    died_of = analysis.crash_info.cpp_exception if analysis.crash_info else None
    throws = analysis.throws
    if died_of and died_of.throw is not None and 0 <= died_of.throw < len(throws):
        return died_of.throw, f"C++ exception that nobody caught, {_thrown(throws[died_of.throw])}"
    crashing = analysis.crashing_index
    of_crashing = (i for i, t in enumerate(throws) if t.thread is not None and t.thread == crashing)
    index = next(of_crashing, 0)
    return index, f"C++ exception {_thrown(throws[index])} (newest)"


def _thrown(throw: Throw) -> str:
    return f"thrown in {_thread(throw)}"


def _thread(throw: Throw) -> str:
    if throw.thread is not None:
        return f"thread {throw.thread}"
    if throw.thread_id is not None:
        return f"a thread that has ended ({throw.thread_id})"
    return "a thread that is not known"


def _what(throw: Throw) -> str:
    name = clean(throw.type or "an exception of a type that is not known")
    return f"{name}: {clean(throw.what)}" if throw.what else name


def _origin(throw: Throw) -> str:
    return f", from {frame_title(throw.frames[0])}" if throw.frames else ""


def _throw(throw: Throw, title: str, *, is_folded: bool, in_app: InApp | None) -> Iterator[Text]:
    yield Text(title, style="bold")
    yield Text(f"  {_what(throw)}")
    yield from frame_lines(throw.frames, is_folded=is_folded, in_app=in_app)
