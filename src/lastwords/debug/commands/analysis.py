"""`!analyze`: what the dump says, in the sections that readers of cdb know, and our findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lastwords.debug.code_text import current_instruction
from lastwords.debug.commands.modules import module_line
from lastwords.debug.commands.registers import event_text, exception_lines
from lastwords.debug.commands.stack import stack_lines, stack_style
from lastwords.debug.frame_text import place_of
from lastwords.debug.problem import Problem
from lastwords.debug.registry import command
from lastwords.debug.syntax import split_options
from lastwords.signature import from_analysis, sign

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Frame

__all__: list[str] = []

_THEME = "Analysis"
_MAX_ERRORS = 64


@command(
    "!analyze",
    usage="[-v] [-hang]",
    summary="what happened and where, how it is grouped, and what was found out",
    example="!analyze -v",
    theme=_THEME,
)
def analyze(debugger: Debugger, _: str, arguments: str) -> Iterable[str]:
    """Everything at once."""
    options, rest = split_options(arguments)
    if rest:
        raise Problem(f"'{rest}' is not understood: !analyze -v")
    is_verbose = "v" in options
    is_hang = "hang" in options
    yield "*" * 79
    title = "Hang Analysis" if is_hang else "Exception Analysis"
    yield f"*{title:^77}*"
    yield "*" * 79
    yield ""
    kept = (debugger.thread, debugger.frame_number, debugger.is_exception_context)
    try:
        if debugger.target.exception is not None and not is_hang:
            debugger.choose_exception()
        yield from _sections(debugger, is_verbose=is_verbose)
    finally:
        if not debugger.is_exception_context:
            debugger.thread, debugger.frame_number, debugger.is_exception_context = kept


def _sections(debugger: Debugger, *, is_verbose: bool) -> Iterable[str]:
    document: dict[str, Any] = debugger.target.session.ask("document")
    debugger.target.refresh_modules()
    signature = sign(from_analysis(document))
    if not is_verbose:
        yield event_text(debugger)
        yield f"Probably caused by : {_culprit(debugger)}"
        yield f"FAILURE_BUCKET_ID:  {signature.text}"
        yield ""
        yield "Use !analyze -v to get detailed debugging information."
        return
    yield from _key_values(debugger, document)
    frames = debugger.frames()
    if debugger.target.exception is not None:
        yield "EXCEPTION_RECORD:  (.exr -1)"
        yield from exception_lines(debugger)
        yield ""
    if frames:
        frame = debugger.frame()
        yield "FAULTING_IP: "
        yield from current_instruction(debugger, frame)
        yield ""
    yield f"FAULTING_THREAD:  {debugger.current_thread().id:08x}"
    yield ""
    yield f"PROCESS_NAME:  {_process_name(debugger)}"
    yield ""
    yield from _error_code(debugger)
    yield "STACK_TEXT:  "
    yield from stack_lines(debugger, frames, stack_style("", are_lines_shown=True), 64)
    yield ""
    yield from _symbol_sections(debugger, frames)
    yield f"FAILURE_BUCKET_ID:  {signature.text}"
    yield ""
    yield from _findings(document)
    yield "Followup:     lastwords signature explains the bucket"
    yield "---------"


def _process_name(debugger: Debugger) -> str:
    modules = debugger.target.modules
    return modules[0].file_name if modules else "<unknown>"


def _key_values(debugger: Debugger, document: dict[str, Any]) -> Iterable[str]:
    yield "KEY_VALUES_STRING: 1"
    yield ""
    about = debugger.target.about
    pairs = [
        ("Dump.Kind", about["kind"]["kind"]),
        ("Dump.Created", about["kind"]["created"]),
        ("System.OS", f"{about['os']} {about['os_version'] or ''}".strip()),
        ("System.CPU", about["cpu"]),
    ]
    python = document.get("python")
    if python:
        pairs += [
            ("Python.Version", python.get("version")),
            ("Python.Exception", python.get("exception")),
        ]
    metadata = (document.get("lastwords") or {}).get("metadata") or {}
    pairs += [
        (f"Lastwords.{key}", metadata.get(key)) for key in ("product", "version", "mechanism")
    ]
    for key, value in pairs:
        if value and not isinstance(value, dict | list):
            yield f"    Key  : {key}"
            yield f"    Value: {value}"
            yield ""


def _error_code(debugger: Debugger) -> Iterable[str]:
    record = debugger.target.exception
    if record is None:
        return
    kind = "NTSTATUS" if debugger.target.is_windows else "signal"
    yield f"ERROR_CODE: ({kind}) {record['code']:#x} - {event_text(debugger)}"
    yield ""
    yield f"EXCEPTION_CODE_STR:  {record['code']:x}"
    yield ""
    for index, value in enumerate(record["parameters"][:4]):
        yield f"EXCEPTION_PARAMETER{index + 1}:  {debugger.target.address(value)}"
        yield ""


def _responsible(frames: list[Frame]) -> Frame | None:
    """The newest frame that somebody wrote: a named one."""
    return next((frame for frame in frames if frame.function), frames[0] if frames else None)


def _culprit(debugger: Debugger) -> str:
    frame = _responsible(debugger.frames())
    return "<unknown>" if frame is None else place_of(debugger, frame)


def _symbol_sections(debugger: Debugger, frames: list[Frame]) -> Iterable[str]:
    frame = _responsible(frames)
    if frame is None:
        return
    yield f"SYMBOL_NAME:  {place_of(debugger, frame)}"
    yield ""
    if frame.file:
        yield f"FAULTING_SOURCE_FILE:  {frame.file}"
        yield f"FAULTING_SOURCE_LINE_NUMBER:  {frame.line or 0}"
        yield ""
    if frame.module is not None:
        yield f"MODULE_NAME: {frame.module.name}"
        yield f"IMAGE_NAME:  {frame.module.file_name}"
        yield f"  {module_line(debugger, frame.module)}"
        yield ""
    yield f"STACK_COMMAND:  ~{debugger.thread}s; .ecxr ; kb"
    yield ""


def _findings(document: dict[str, Any]) -> Iterable[str]:
    crash = document.get("crash_info") or {}
    lines = list(_cause_lines(crash))
    flips = crash.get("possible_bit_flips") or []
    lines += [f"Perhaps a flipped bit: {flip.get('address')}" for flip in flips]
    accesses = crash.get("memory_accesses") or []
    lines += [f"Memory access: {a.get('address')} ({a.get('size')} bytes)" for a in accesses]
    python = document.get("python") or {}
    if python:
        holder = python.get("gil_holder_thread")
        lines.append(
            f"Python {python.get('version')}: {python.get('threads')} threads; GIL: "
            + (f"thread {holder}" if holder is not None else "nobody known")
        )
    errors = document.get("soft_errors") or []
    lines += [f"Not had: {e.get('where')}: {e.get('message')}" for e in errors[:_MAX_ERRORS]]
    if lines:
        yield "FINDINGS:"
        yield from (f"  {line}" for line in lines)
        yield ""


def _cause_lines(crash: dict[str, Any]) -> Iterable[str]:
    """Likely causes with their evidence, and the exploitability with its reasons."""
    for finding in crash.get("findings") or []:
        yield f"Likely cause ({finding.get('confidence')}): {finding.get('title')}"
        yield from (f"    {line}" for line in finding.get("evidence") or [])
    exploitability = crash.get("exploitability")
    if exploitability:
        yield f"Exploitability (Breakpad's scale): {exploitability.get('rating')}"
        yield from (f"    {line}" for line in exploitability.get("reasons") or [])
