"""The crash report as `docs/formats/report.md` describes it, with who may see each field.

The SDK and the monitor write the document without these classes (a dying process imports
nothing); everyone who reads one decodes it into them: `CrashReport.from_json()` with the standard
library, or msgspec on the same dataclasses at the server's edge. Every field may be missing.
"""

from __future__ import annotations

import types
import typing
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from lastwords.report.json_text import json_text
from lastwords.report.soft_error import SoftError

__all__ = [
    "SCHEMA",
    "AttachedFile",
    "Breadcrumb",
    "CaptureInfo",
    "CppException",
    "CrashReport",
    "DumpFile",
    "EndInfo",
    "ExceptionFrame",
    "ExceptionInfo",
    "LastWords",
    "Mechanism",
    "ProcessInfo",
    "SignalInfo",
    "SoftError",
    "StackOverflow",
    "SystemInfo",
    "protected_fields",
]

SCHEMA = 1
"""Version of the document; a reader takes what it knows from a newer one."""

_MAX_DEPTH = 64
_MAX_ITEMS = 100_000
_PUBLIC: dict[str, str] = {"access": "public"}
_PROTECTED: dict[str, str] = {"access": "protected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalInfo:
    """The fatal signal: number and code as in `siginfo_t`, address as hexadecimal text.

    `access` says what was done at the address; `None` when that is not known.
    """

    number: int | None = field(default=None, metadata=_PUBLIC)
    name: str | None = field(default=None, metadata=_PUBLIC)
    code: int | None = field(default=None, metadata=_PUBLIC)
    code_name: str | None = field(default=None, metadata=_PUBLIC)
    address: str | None = field(default=None, metadata=_PUBLIC)
    access: str | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOverflow:
    """A stack that was too small: its bytes at the fault, and the most it may have.

    `limit_bytes` is `None` when there is no limit, or it is not known.
    """

    stack_bytes: int | None = field(default=None, metadata=_PUBLIC)
    limit_bytes: int | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """What the crashing thread wrote to stderr when it gave up.

    `source` is `python_fatal_error`, `rust_panic` or `pure_virtual_call`.
    """

    source: str | None = field(default=None, metadata=_PUBLIC)
    text: str | None = field(default=None, metadata=_PROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CppException:
    """A C++ exception: of which `std::terminate` died, or that became a Python exception.

    `frames` tell where it was thrown, innermost first: hexadecimal addresses, or `module+offset`.
    """

    type: str | None = field(default=None, metadata=_PUBLIC)
    what: str | None = field(default=None, metadata=_PROTECTED)
    frames: tuple[str, ...] = field(default=(), metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndInfo:
    """How a process ended that left no crash report.

    `cause` is `sigkill`, `oom_kill`, `os_exit`, `signal`, `power_loss`, `killed_with_monitor` or
    `unknown`; `certainty` is `known`, `likely` or `unknown`; `signal` is a number. The lines of
    `evidence` say why.
    """

    cause: str | None = field(default=None, metadata=_PUBLIC)
    certainty: str | None = field(default=None, metadata=_PUBLIC)
    exit_code: int | None = field(default=None, metadata=_PUBLIC)
    signal: int | None = field(default=None, metadata=_PUBLIC)
    evidence: tuple[str, ...] = field(default=(), metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """Which detector caught it.

    `type` is `signal`, `python_exception`, `thread_exception`, `unraisable_exception`,
    `abnormal_end` or `requested` (a dump that somebody asked for); readers keep what they do not
    know.
    """

    type: str | None = field(default=None, metadata=_PUBLIC)
    handled: bool | None = field(default=None, metadata=_PUBLIC)
    description: str | None = field(default=None, metadata=_PUBLIC)
    abort_message: str | None = field(default=None, metadata=_PROTECTED)
    last_words: LastWords | None = field(default=None, metadata=_PUBLIC)
    stack_overflow: StackOverflow | None = field(default=None, metadata=_PUBLIC)
    signal: SignalInfo | None = field(default=None, metadata=_PUBLIC)
    cpp_exception: CppException | None = field(default=None, metadata=_PUBLIC)
    end: EndInfo | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """The process that crashed; `start_time` is RFC 3339, UTC."""

    pid: int | None = field(default=None, metadata=_PUBLIC)
    tid: int | None = field(default=None, metadata=_PUBLIC)
    executable: str | None = field(default=None, metadata=_PUBLIC)
    python_version: str | None = field(default=None, metadata=_PUBLIC)
    start_time: str | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """The machine: names as `uname` gives them."""

    os: str | None = field(default=None, metadata=_PUBLIC)
    os_version: str | None = field(default=None, metadata=_PUBLIC)
    arch: str | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionFrame:
    """One Python frame; columns are 0-based UTF-8 bytes (PEP 657), `None` before Python 3.11."""

    function: str | None = field(default=None, metadata=_PROTECTED)
    qualname: str | None = field(default=None, metadata=_PROTECTED)
    file: str | None = field(default=None, metadata=_PROTECTED)
    line: int | None = field(default=None, metadata=_PROTECTED)
    column: int | None = field(default=None, metadata=_PROTECTED)
    end_line: int | None = field(default=None, metadata=_PROTECTED)
    end_column: int | None = field(default=None, metadata=_PROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionInfo:
    """A Python exception; `frames` begin with the oldest call."""

    type: str | None = field(default=None, metadata=_PROTECTED)
    module: str | None = field(default=None, metadata=_PROTECTED)
    message: str | None = field(default=None, metadata=_PROTECTED)
    notes: tuple[str, ...] = field(default=(), metadata=_PROTECTED)
    thread_name: str | None = field(default=None, metadata=_PROTECTED)
    frames: tuple[ExceptionFrame, ...] = field(default=(), metadata=_PROTECTED)
    cpp_throw: CppException | None = field(default=None, metadata=_PROTECTED)
    cause: ExceptionInfo | None = field(default=None, metadata=_PROTECTED)
    context: ExceptionInfo | None = field(default=None, metadata=_PROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFile:
    """A minidump beside the document.

    `flags` are the `MINIDUMP_TYPE` bits of a custom dump; `is_cut` says that something was left out
    for size or space; `compression` is `zstd` or `None`; `stopped_ms` is how long the process stood
    still for it.
    """

    file: str | None = field(default=None, metadata=_PUBLIC)
    size_bytes: int | None = field(default=None, metadata=_PUBLIC)
    kind: str | None = field(default=None, metadata=_PUBLIC)
    flags: int | None = field(default=None, metadata=_PUBLIC)
    is_cut: bool | None = field(default=None, metadata=_PUBLIC)
    compression: str | None = field(default=None, metadata=_PUBLIC)
    stopped_ms: float | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """A file that was copied into the report; `is_cut` says that only its end is there."""

    name: str | None = field(default=None, metadata=_PROTECTED)
    file: str | None = field(default=None, metadata=_PROTECTED)
    size_bytes: int | None = field(default=None, metadata=_PROTECTED)
    is_cut: bool | None = field(default=None, metadata=_PROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breadcrumb:
    """What happened before: `time` is RFC 3339, UTC; `level` is `debug` to `fatal`.

    `is_cut` says that text was cut, data left out, or the process died while it was written.
    """

    time: str | None = field(default=None, metadata=_PROTECTED)
    level: str | None = field(default=None, metadata=_PROTECTED)
    category: str | None = field(default=None, metadata=_PROTECTED)
    message: str | None = field(default=None, metadata=_PROTECTED)
    data: dict[str, str | int | float | bool] = field(default_factory=dict, metadata=_PROTECTED)
    is_cut: bool | None = field(default=None, metadata=_PROTECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureInfo:
    """How the monitor reached the crashing process: see `docs/formats/report.md`."""

    threads: str | None = field(default=None, metadata=_PUBLIC)
    memory: str | None = field(default=None, metadata=_PUBLIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashReport:
    """One crash report. Times are RFC 3339, UTC, of the machine's own clock."""

    schema: int | None = field(default=None, metadata=_PUBLIC)
    report_id: str | None = field(default=None, metadata=_PUBLIC)
    created: str | None = field(default=None, metadata=_PUBLIC)
    product: str | None = field(default=None, metadata=_PUBLIC)
    version: str | None = field(default=None, metadata=_PUBLIC)
    url: str | None = field(default=None, metadata=_PROTECTED)
    client_id: str | None = field(default=None, metadata=_PUBLIC)
    mechanism: Mechanism | None = field(default=None, metadata=_PUBLIC)
    process: ProcessInfo | None = field(default=None, metadata=_PUBLIC)
    system: SystemInfo | None = field(default=None, metadata=_PUBLIC)
    annotations: dict[str, str | int | float | bool] = field(
        default_factory=dict, metadata=_PROTECTED
    )
    breadcrumbs: tuple[Breadcrumb, ...] = field(default=(), metadata=_PROTECTED)
    exception: ExceptionInfo | None = field(default=None, metadata=_PROTECTED)
    dump: DumpFile | None = field(default=None, metadata=_PUBLIC)
    dumps: tuple[DumpFile, ...] = field(default=(), metadata=_PUBLIC)
    attachments: tuple[AttachedFile, ...] = field(default=(), metadata=_PROTECTED)
    capture: CaptureInfo | None = field(default=None, metadata=_PUBLIC)
    soft_errors: tuple[SoftError, ...] = field(default=(), metadata=_PUBLIC)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> CrashReport:
        """Decode a document leniently.

        Unknown keys are dropped. A value of the wrong type counts as missing and is named in
        `soft_errors` (code `report_field_malformed`), so that nothing in a foreign document can
        make this raise.
        """
        problems: list[SoftError] = []
        report = _decode(cls, document, "$", problems)
        if not isinstance(report, cls):
            report = cls()
        if problems:
            return _with_soft_errors(report, tuple(problems))
        return report

    def to_json(self) -> bytes:
        """Encode as UTF-8 JSON, one line, every field present."""
        return json_text(asdict(self)).encode()


def _with_soft_errors(report: CrashReport, more: tuple[SoftError, ...]) -> CrashReport:
    values = {item.name: getattr(report, item.name) for item in fields(report)}
    values["soft_errors"] = report.soft_errors + more
    return CrashReport(**values)


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


_HINTS: dict[type, dict[str, Any]] = {}


def _decode(
    hint: Any,  # noqa: ANN401  (a type or a union of types)
    value: object,
    path: str,
    problems: list[SoftError],
) -> object:
    """Decode `value` as `hint`; `None`, and a note in `problems`, when it does not fit."""
    if value is None:
        return None
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        hint = next(item for item in typing.get_args(hint) if item is not type(None))
        return _decode(hint, value, path, problems)
    if origin is tuple:
        return _decode_list(typing.get_args(hint)[0], value, path, problems)
    if origin is dict:
        return _decode_annotations(value, path, problems)
    if is_dataclass(hint):
        return _decode_object(hint, value, path, problems)
    expected = (int, float) if hint is float else hint
    is_fitting = isinstance(value, expected) and (hint is bool or not isinstance(value, bool))
    return value if is_fitting else _malformed(hint.__name__, value, path, problems)


def _malformed(expected: str, value: object, path: str, problems: list[SoftError]) -> object:
    """Note that a value does not fit; returns `None`, which stands for missing."""
    if len(problems) < 50:
        problems.append(
            SoftError(
                code="report_field_malformed",
                where=path,
                message=f"expected {expected}, found {type(value).__name__}",
            )
        )
    return None


def _decode_object(hint: Any, value: object, path: str, problems: list[SoftError]) -> object:  # noqa: ANN401
    if not isinstance(value, dict) or path.count(".") > _MAX_DEPTH:
        return _malformed("an object", value, path, problems)
    arguments = {}
    for name, kind in _hints(hint).items():
        decoded = _decode(kind, value.get(name), f"{path}.{name}", problems)
        if decoded is not None:
            arguments[name] = decoded
    return hint(**arguments)


def _decode_list(hint: Any, value: object, path: str, problems: list[SoftError]) -> object:  # noqa: ANN401
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        return _malformed("a list", value, path, problems)
    items = [_decode(hint, item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    return tuple(item for item in items if item is not None)


def _decode_annotations(value: object, path: str, problems: list[SoftError]) -> object:
    if not isinstance(value, dict):
        return _malformed("an object", value, path, problems)
    kept = {}
    for key, item in list(value.items())[:_MAX_ITEMS]:
        if isinstance(key, str) and isinstance(item, (str, int, float)):
            kept[key] = item
        elif item is not None:
            _malformed("text, a number or a boolean", item, f"{path}.{key}", problems)
    return kept


def protected_fields(kind: type = CrashReport) -> frozenset[str]:
    """Names of the fields of a class that only people with access to the product may see."""
    return frozenset(item.name for item in fields(kind) if item.metadata["access"] == "protected")
