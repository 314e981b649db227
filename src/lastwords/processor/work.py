"""What the steps of processing share: the report on its way, and the settings."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lastwords.processor.isolate import ChildLimits, Interrupt
from lastwords.store import Found, NoteOutcome

if TYPE_CHECKING:
    from pathlib import Path

    from lastwords.signature import SignatureResult
    from lastwords.store import NewDocument, Store, StoredReport

__all__ = ["ProcessorSettings", "StepResult", "Stopped", "Work"]

_ANALYZE = (sys.executable, "-m", "lastwords", "analyze")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSettings:
    """How dumps are analysed.

    Args:
        symbols: Symbol sources, as `lastwords analyze --symbols` takes them.
        is_local_allowed: Module files named in a dump may be read from this machine (they count
            only when their build id matches). Not for dumps of strangers.
        symbol_cache: Folder in which the children keep answers about symbols for each other; what a
            stranger's dump asks takes room in it. `None`: they keep nothing.
        limits: Of each child.
        max_attempts: A job that was begun so often and never ended is given up.
        analyze_command: The program that analyses a dump, without its arguments.
    """

    symbols: tuple[str, ...] = ()
    is_local_allowed: bool = False
    symbol_cache: str | None = None
    limits: ChildLimits = field(default_factory=ChildLimits)
    max_attempts: int = 3
    analyze_command: tuple[str, ...] = _ANALYZE


class Stopped(Exception):  # noqa: N818  (not an error)
    """The server stops; the job is to be given back as if it had not been begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step ended.

    `code` is stable, `None` when nothing went wrong. `is_transient`: another attempt may do better,
    so if there is one left, the later steps wait for it. `is_fatal`: the report counts as failed,
    although the other steps run.
    """

    outcome: NoteOutcome
    message: str
    code: str | None = None
    is_transient: bool = False
    is_fatal: bool = False


@dataclass(slots=True, kw_only=True)
class Work:
    """One report on its way through the steps.

    `interrupt` ends children when the server stops.

    `report_document` and `analysis_document` are decoded JSON (docs/formats/report.md and
    analysis.md); they are foreign, and `None` until, or unless, a step could read them.
    """

    store: Store
    report: StoredReport
    settings: ProcessorSettings
    interrupt: Interrupt | None = None
    report_document: dict[str, Any] | None = None
    analysis_document: dict[str, Any] | None = None
    signature: SignatureResult | None = None
    found: Found = field(default_factory=Found)
    documents: list[NewDocument] = field(default_factory=list)
    new_annotations: tuple[tuple[str, str], ...] | None = None

    @property
    def dump_path(self) -> Path | None:
        """The dump's file; `None` when the report has none."""
        sha256 = self.report.dump_sha256
        return None if sha256 is None else self.store.blobs.path(sha256)
