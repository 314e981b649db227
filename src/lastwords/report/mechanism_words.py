"""What a report's mechanism says of the death, in words: for the web page and the command line.

Reads the document as it came (`docs/formats/report.md`): what is absent or of a wrong type is
left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["cause_words", "mechanism_words", "stack_overflow_words", "uncaught_words"]

_MAX_TEXT = 2_000
_MAX_EVIDENCE = 16
_CAUSES = {
    "sigkill": "killed by SIGKILL",
    "oom_kill": "killed by the kernel: memory was full",
    "os_exit": "ended by os._exit()",
    "power_loss": "the machine went down",
    "killed_with_monitor": "killed together with its monitor",
    "signal": "ended by a signal",
}
_SOURCES = {
    "python_fatal_error": "Fatal Python error",
    "rust_panic": "Rust panic",
    "pure_virtual_call": "Pure virtual call",
}


def mechanism_words(mechanism: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return labels and texts, in the order in which they explain the death."""
    pairs = (
        ("End of the process", _end(_mapping(mechanism.get("end")))),
        ("Stack", stack_overflow_words(mechanism.get("stack_overflow"))),
        ("C++ exception", uncaught_words(mechanism.get("cpp_exception"))),
        *_last_words(_mapping(mechanism.get("last_words"))),
        ("Abort message", _text(mechanism.get("abort_message"))),
    )
    return [(label, words) for label, words in pairs if words]


def cause_words(cause: str) -> str:
    """Say in words what a `cause` of an abnormal end is; a new one stays as it is."""
    return _CAUSES.get(cause, "not known" if cause == "unknown" else cause)


def stack_overflow_words(value: object) -> str | None:
    """Say that a stack was full, and how large it was; `None` when it was not."""
    if not isinstance(value, dict):
        return None
    used, limit = _number(value.get("stack_bytes")), _number(value.get("limit_bytes"))
    parts = [
        "stack overflow",
        None if used is None else f"{used:,} bytes in use",
        None if limit is None else f"its limit is {limit:,}",
    ]
    return ", ".join(part for part in parts if part)


def uncaught_words(value: object) -> str | None:
    """Say which exception nobody caught; `None` when there was none."""
    if not isinstance(value, dict):
        return None
    name = _text(value.get("type")) or "an exception of a type that is not known"
    what = _text(value.get("what"))
    return f"not caught: {name}: {what}" if what else f"not caught: {name}"


def _end(end: Mapping[str, object]) -> str | None:
    if not end:
        return None
    cause = _text(end.get("cause")) or "unknown"
    words = cause_words(cause)
    is_likely = end.get("certainty") == "likely"
    exit_code, signal = _number(end.get("exit_code")), _number(end.get("signal"))
    parts = [
        f"likely {words}" if is_likely else words,
        None if exit_code is None else f"exit status {exit_code}",
        None if signal is None else f"signal {signal}",
    ]
    evidence = end.get("evidence")
    found = evidence[:_MAX_EVIDENCE] if isinstance(evidence, (list, tuple)) else []
    known = [line for line in (_text(one) for one in found) if line]
    head = ", ".join(part for part in parts if part)
    return f"{head} ({'; '.join(known)})" if known else head


def _last_words(words: Mapping[str, object]) -> Iterator[tuple[str, str | None]]:
    source = _text(words.get("source"))
    label = _SOURCES.get(source or "", "Last words")
    text = _text(words.get("text"))
    yield label, text or (f"{label} without a text" if source in _SOURCES else None)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}…"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
