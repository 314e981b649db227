"""A report as its page shows it: what happened, the stacks, and everything that is not known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastwords.errors import StoreError
from lastwords.report.analysis import is_crash, is_fault, system_name
from lastwords.report.mechanism_words import (
    mechanism_words,
    stack_overflow_words,
    uncaught_words,
)
from lastwords.signature import SignatureResult, from_report, sign
from lastwords.store import BlobKind
from lastwords.web.dump_view import breadcrumbs, dump_facts, handles
from lastwords.web.exception_view import ExceptionView, ThrowView, exception_chain, throws
from lastwords.web.finding_view import FindingView, findings
from lastwords.web.json_view import mapping, mappings, number, text
from lastwords.web.stack_view import ThreadView, threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lastwords.store import Note, ReportBlob, Store, StoredReport

__all__ = ["ModuleView", "ReportView", "documents", "report_view"]

_MAX_DOCUMENT_BYTES = 64 << 20
_MAX_MODULES = 2000
_MAX_SOFT_ERRORS = 500
_MAX_ANNOTATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleView:
    """A loaded module; `symbols` is one of found, missing, damaged, not needed."""

    name: str
    base: str | None
    end: str | None
    version: str | None
    code_id: str | None
    debug_id: str | None
    symbols: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """Everything about one report, ready to be printed.

    Args:
        facts: Label and value of what happened, only those that are known.
        findings: Likely causes with their evidence, and the exploitability.
        throws: C++ exceptions that were thrown before the crash, newest first.
        throws_left_out: Throws that are in the raw document only.
        breadcrumbs: Time and text of the newest ones, the newest last.
        handles: Number, type and name of open files; `None` when the dump does not hold them.
        exception: The Python exception after its causes, as Python prints it; empty without one.
        crashing: The thread that crashed, or asked for the dump; `None` when the dump does not say.
        is_crash: The dump is of a crash, nobody asked for it.
        others: The other threads.
        threads_left_out: Threads that are in the raw document only.
        modules: Loaded modules.
        modules_left_out: Modules that are in the raw document only.
        annotations: Key and value.
        files: Everything that can be downloaded.
        notes: Of the processing steps.
        soft_errors: Where and message of what the client or the analysis could not get.
        signature: Computed anew, with its notes; `None` when nothing is known yet.
        problems: Files of the report that could not be read here.
    """

    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[FindingView, ...] = ()
    exception: tuple[ExceptionView, ...] = ()
    throws: tuple[ThrowView, ...] = ()
    throws_left_out: int = 0
    breadcrumbs: tuple[tuple[str, str], ...] = ()
    handles: tuple[tuple[str, str, str], ...] | None = None
    crashing: ThreadView | None = None
    is_crash: bool = True
    others: tuple[ThreadView, ...] = ()
    threads_left_out: int = 0
    modules: tuple[ModuleView, ...] = ()
    modules_left_out: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    files: tuple[ReportBlob, ...] = ()
    notes: tuple[Note, ...] = ()
    soft_errors: tuple[tuple[str, str], ...] = ()
    signature: SignatureResult | None = None
    problems: tuple[str, ...] = ()

    @property
    def dump(self) -> ReportBlob | None:
        """Return the minidump's file; `None` without one."""
        return next((file for file in self.files if file.kind is BlobKind.DUMP), None)


@dataclass(slots=True)
class Documents:
    """The two JSON documents of a report; `None` when absent or not readable."""

    report: Mapping[str, object] | None = None
    analysis: Mapping[str, object] | None = None
    problems: list[str] = field(default_factory=list)


def documents(store: Store, blobs: Sequence[ReportBlob]) -> Documents:
    """Read `report.json` and `analysis.json` of a report."""
    found = Documents()
    for blob in blobs:
        if blob.kind is BlobKind.REPORT_JSON:
            found.report = _read(store, blob, found.problems)
        elif blob.kind is BlobKind.ANALYSIS:
            found.analysis = _read(store, blob, found.problems)
    return found


def report_view(store: Store, stored: StoredReport) -> ReportView:
    """Collect what is known about a report. Never fails for what a client or a dump says."""
    blobs = store.report_blobs(stored.id)
    found = documents(store, blobs)
    report, analysis = found.report or {}, found.analysis or {}
    all_threads, threads_left_out = threads(analysis)
    crashing = all_threads[0] if all_threads and all_threads[0].is_crashing else None
    all_throws, throws_left_out = throws(analysis)
    modules = mappings(analysis.get("modules"))
    has_documents = found.report is not None or found.analysis is not None
    return ReportView(
        facts=tuple(_facts(stored, report, analysis)),
        findings=findings(analysis),
        exception=tuple(exception_chain(mapping(report.get("exception")))),
        throws=tuple(all_throws),
        throws_left_out=throws_left_out,
        breadcrumbs=tuple(breadcrumbs(analysis)),
        handles=handles(analysis),
        crashing=crashing,
        is_crash=is_crash(_reason(stored, analysis)),
        others=tuple(one for one in all_threads if one is not crashing),
        threads_left_out=threads_left_out,
        modules=tuple(_module(one) for one in modules[:_MAX_MODULES]),
        modules_left_out=max(len(modules) - _MAX_MODULES, 0),
        annotations=tuple(_annotations(store, stored.id, report, analysis)),
        files=tuple(blobs),
        notes=tuple(store.notes(stored.id)),
        soft_errors=tuple(_soft_errors(report, analysis)),
        signature=sign(from_report(report, found.analysis)) if has_documents else None,
        problems=tuple(found.problems),
    )


def _read(store: Store, blob: ReportBlob, problems: list[str]) -> Mapping[str, object] | None:
    if blob.size_bytes > _MAX_DOCUMENT_BYTES:
        problems.append(f"{blob.name} has {blob.size_bytes:,} bytes, too many to show it here")
        return None
    try:
        document = json.loads(store.read_blob(blob.sha256))
    except StoreError as error:
        problems.append(error.message)
        return None
    except (ValueError, RecursionError):
        problems.append(f"{blob.name} is not valid JSON")
        return None
    if not isinstance(document, dict):
        problems.append(f"{blob.name} is not a JSON object")
        return None
    return document


def _reason(stored: StoredReport, analysis: Mapping[str, object]) -> str | None:
    return text(mapping(analysis.get("crash_info")).get("type")) or stored.crash_reason


def _facts(
    stored: StoredReport, report: Mapping[str, object], analysis: Mapping[str, object]
) -> list[tuple[str, str]]:
    crash = mapping(analysis.get("crash_info"))
    system = mapping(analysis.get("system_info"))
    process = mapping(report.get("process"))
    mechanism = mapping(report.get("mechanism"))
    python = mapping(analysis.get("python"))
    os_name = system_name(text(system.get("os")), text(system.get("os_ver")))
    reason = _reason(stored, analysis)
    fault = crash if is_fault(reason) else {}
    pairs = (
        ("Reason", reason),
        ("Address", text(crash.get("address")) or stored.crash_address),
        ("Meaning of the address", _adjusted(mapping(fault.get("adjusted_address")))),
        ("Signal", _signal(mapping(mechanism.get("signal")))),
        *_death(mechanism, crash),
        ("Assertion", text(crash.get("assertion"))),
        ("Instruction", text(fault.get("instruction"))),
        ("Kind of report", text(mechanism.get("type")) or stored.mechanism),
        ("Product", " ".join(filter(None, [stored.product, stored.version]))),
        ("Operating system", os_name or stored.os),
        ("Processor", text(system.get("cpu_info")) or text(system.get("cpu_arch")) or stored.arch),
        ("Python", text(process.get("python_version")) or text(python.get("version"))),
        ("Executable", text(process.get("executable"))),
        ("Process id", text(process.get("pid")) or text(analysis.get("pid"))),
        ("Process started", text(process.get("start_time"))),
        ("Installation", stored.client_id),
        ("Made", text(report.get("created"))),
        *dump_facts(analysis),
    )
    return [(label, value) for label, value in pairs if value]


def _death(
    mechanism: Mapping[str, object], crash: Mapping[str, object]
) -> Iterator[tuple[str, str | None]]:
    """What report and dump say of the death.

    The dump's analysis knows the type's source name, which the report writes as the linker does.
    """
    exception = uncaught_words(crash.get("cpp_exception"))
    said = dict(mechanism_words(mechanism))
    if exception:
        said["C++ exception"] = exception
    if "Stack" not in said:
        yield "Stack", stack_overflow_words(crash.get("stack_overflow"))
    yield from said.items()


def _signal(signal: Mapping[str, object]) -> str | None:
    name = text(signal.get("name"))
    if name is None:
        return None
    code = text(signal.get("code_name"))
    numbers = ", ".join(
        f"{label} {value}"
        for label, value in (("signal", signal.get("number")), ("code", signal.get("code")))
        if number(value) is not None
    )
    what = f"{name} / {code}" if code else name
    return f"{what} ({numbers})" if numbers else what


def _adjusted(adjusted: Mapping[str, object]) -> str | None:
    kind = adjusted.get("kind")
    if kind == "null-pointer":
        return f"null pointer plus {text(adjusted.get('offset')) or 'an offset'}"
    if kind == "non-canonical":
        return f"not a valid address; meant was {text(adjusted.get('address')) or 'another one'}"
    return None


def _module(module: Mapping[str, object]) -> ModuleView:
    if module.get("corrupt_symbols") is True:
        symbols = "damaged"
    elif module.get("loaded_symbols") is True:
        symbols = "found"
    elif module.get("missing_symbols") is True:
        symbols = "missing"
    else:
        symbols = "not needed"
    return ModuleView(
        name=text(module.get("filename")) or "unnamed",
        base=text(module.get("base_addr")),
        end=text(module.get("end_addr")),
        version=text(module.get("version")),
        code_id=text(module.get("code_id")),
        debug_id=text(module.get("debug_id")),
        symbols=symbols,
    )


def _annotations(
    store: Store, report_id: str, report: Mapping[str, object], analysis: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Merge the annotations of delivery, dump and report; the report's own values win."""
    merged: dict[str, str] = dict(store.annotations(report_id))
    for source in (analysis, report):
        for key, value in mapping(source.get("annotations")).items():
            shown = ("true" if value else "false") if isinstance(value, bool) else text(value)
            if shown is not None:
                merged[str(key)[:200]] = shown
    return sorted(merged.items())[:_MAX_ANNOTATIONS]


def _soft_errors(
    report: Mapping[str, object], analysis: Mapping[str, object]
) -> list[tuple[str, str]]:
    shown = []
    for source in (report, analysis):
        for error in mappings(source.get("soft_errors"))[:_MAX_SOFT_ERRORS]:
            where = text(error.get("where")) or text(error.get("code")) or "unknown"
            shown.append((where, text(error.get("message")) or text(error.get("code")) or ""))
    return shown
