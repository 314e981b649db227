"""Python: `!py`, `!pylocals`, `!gil`, `!tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastwords.debug.commands.stack import thread_header
from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import command
from lastwords.debug.source_lines import lines_around
from lastwords.debug.syntax import split_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__: list[str] = []

_THEME = "Python"


def _details(debugger: Debugger) -> dict[str, Any]:
    found = debugger.target.session.ask("python_details")
    return found if isinstance(found, dict) else {}


def _address(text: object) -> int | None:
    """An address of the details: hexadecimal digits behind `0x`."""
    try:
        return int(text, 16) if isinstance(text, str) else None
    except ValueError:
        return None


def _listed(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = holder.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _need_python(debugger: Debugger) -> None:
    if not debugger.target.about["has_python"]:
        raise missing("python")


def _python_frames(debugger: Debugger, thread: int) -> list[Frame]:
    return [frame for frame in debugger.frames(thread) if frame.kind == "python"]


@command(
    "!py",
    "!pystack",
    usage="[*|all]",
    summary="the Python stack of the chosen thread, or of all (*)",
    example="!py *",
    theme=_THEME,
)
def python_stack(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Python frames."""
    _need_python(debugger)
    is_all = arguments.strip() in {"*", "all", "-a"}
    details = _details(debugger)
    threads = debugger.target.threads if is_all else (debugger.current_thread(),)
    is_any = False
    for thread in threads:
        state = thread.facts["python"]
        frames = _python_frames(debugger, thread.index)
        if state is None and not frames:
            continue
        is_any = True
        if is_all:
            yield ""
            yield thread_header(debugger, thread)
        yield _state_line(details, state)
        for frame in frames:
            name = frame.function or "<unknown>"
            yield f"{frame.number:02x} {name} [{frame.file} @ {frame.line or 0}]"
            yield from (
                f"        {line}" for line in lines_around(debugger, frame, before=0, after=0)
            )
        yield from _exceptions(details, state)
    if not is_any:
        raise Problem("No Python runs in this thread; !py * shows all of them")


def _thread_details(details: dict[str, Any], state: dict[str, Any] | None) -> dict[str, Any]:
    wanted = _address(state["tstate"]) if state else None
    for one in _listed(details, "threads"):
        if wanted is not None and _address(one.get("tstate")) == wanted:
            return one
    return {}


def _state_line(details: dict[str, Any], state: dict[str, Any] | None) -> str:
    if state is None:
        return "Python (thread state not known)"
    name = _thread_details(details, state).get("name")
    gil = ", holds the GIL" if state["holds_gil"] else ""
    raised = f", raises {state['exception_type']}" if state["exception_type"] else ""
    quoted = f' "{name}"' if name else ""
    return f"Python thread{quoted} (PyThreadState {state['tstate']}{gil}{raised})"


def _exceptions(details: dict[str, Any], state: dict[str, Any] | None) -> Iterable[str]:
    told = _thread_details(details, state)
    for key, word in (("pending", "raises"), ("handled", "handles")):
        one = told.get(key)
        if isinstance(one, dict):
            yield f"   {word} {one.get('type')}: {one.get('text') or ''}".rstrip(": ")
            for link in _listed(one, "chain"):
                text = f"{link.get('link')} {link.get('type')}: {link.get('text') or ''}"
                yield f"      {text}".rstrip(": ")


@command(
    "!pylocals",
    usage="[FRAME]",
    summary="variables of a Python frame: of the chosen one, or of the newest",
    example="!pylocals 2",
    theme=_THEME,
)
def python_locals(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Variables of a Python frame."""
    _need_python(debugger)
    frames = debugger.frames()
    word, _rest = split_word(arguments)
    if word:
        try:
            number = int(word, 16)
        except ValueError:
            raise Problem(f"'{word}' is no number of a frame; k shows them: kn") from None
        chosen = next((frame for frame in frames if frame.number == number), None)
    else:
        chosen = _chosen_python(debugger, frames)
    if chosen is None or chosen.kind != "python":
        raise Problem("This is no Python frame; !py shows those of the thread, with their numbers")
    yield f"{chosen.number:02x} {chosen.function} [{chosen.file} @ {chosen.line or 0}]"
    found = _locals_of(debugger, chosen)
    if found is None:
        raise missing(
            "locals", "made with: lastwords dump --locals, or install(python_locals=True)"
        )
    for one in _listed(found, "variables"):
        kind = one.get("kind", "")
        yield f"{one.get('name', '?')!s:>20} = {one.get('value')}" + (
            f"  ({kind})" if kind != "local" else ""
        )
    if found.get("is_cut"):
        yield "(there are more variables than the dump has)"


def _chosen_python(debugger: Debugger, frames: list[Frame]) -> Frame | None:
    start = debugger.frame_number or 0
    return next((frame for frame in frames[start:] if frame.kind == "python"), None)


def _locals_of(debugger: Debugger, frame: Frame) -> dict[str, Any] | None:
    wanted = frame.facts.get("frame")
    for one in _listed(_details(debugger), "locals"):
        if _address(one.get("frame")) == wanted:
            return one
    return None


@command(
    "!gil",
    usage="",
    summary="which thread holds Python's GIL, and what its threads do",
    example="!gil",
    theme=_THEME,
)
def gil(debugger: Debugger, _: str, __: str) -> Iterable[str]:
    """The holder of the GIL."""
    _need_python(debugger)
    is_held = False
    for thread in debugger.target.threads:
        state = thread.facts["python"]
        if state is None:
            continue
        frames = _python_frames(debugger, thread.index)
        top = (
            f"{frames[0].function} [{frames[0].file} @ {frames[0].line or 0}]"
            if frames
            else "no frames"
        )
        mark = "GIL" if state["holds_gil"] else "   "
        is_held = is_held or state["holds_gil"]
        yield f"{mark} ~{thread.index} {thread.id:x} PyThreadState {state['tstate']}: {top}"
    if not is_held:
        yield "No thread holds the GIL, or its holder is not known (a build without GIL has none)"


@command(
    "!tasks",
    usage="[pending]",
    summary="asyncio's tasks: state, where each waits, and for whom",
    example="!tasks",
    theme=_THEME,
)
def tasks(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Tasks of asyncio."""
    _need_python(debugger)
    details = _details(debugger)
    if not details:
        raise missing("tasks", "Python details were not written into it")
    found = _listed(details, "tasks")
    wanted = arguments.strip()
    shown = [one for one in found if not wanted or one.get("state") == wanted]
    if not shown:
        yield f"{len(found)} tasks" if found else "No tasks of asyncio"
    names = {one.get("address"): one.get("name") for one in found}
    for index, one in enumerate(shown):
        current = ", runs now" if one.get("is_current") else ""
        yield f"{index:3d} {one.get('name')} {one.get('state')}{current}  {one.get('address')}"
        for frame in _listed(one, "frames"):
            name = frame.get("qualname") or frame.get("name")
            yield f"        {name} [{frame.get('file')} @ {frame.get('line') or 0}]"
        waits = one.get("waits_for")
        if isinstance(waits, dict):
            yield f"      waits for {waits.get('type')} {waits.get('name') or waits.get('address')}"
        by = one.get("awaited_by")
        if isinstance(by, list):
            who = ", ".join(str(names.get(address, address)) for address in by)
            yield f"      awaited by {who}"
