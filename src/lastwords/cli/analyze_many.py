"""`lastwords analyze` of many files: one line each, and no file stops the others."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lastwords.analyze.bulk import BulkOrder, Summary, analyze_many
from lastwords.cli.render.clean import clean
from lastwords.cli.render.rows import failure_row, summary_row
from lastwords.cli.render.styled import is_coloured
from lastwords.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lastwords.analyze.bulk import Outcome
    from lastwords.cli.analyze_arguments import AnalyzeArguments

__all__ = ["analyze_files"]

_MAX_NAME_WIDTH = 48
_ENDINGS = (".dmp", ".mdmp", ".dmp.zst", ".dmp.gz", ".dmp.xz", ".dmp.bz2")
_OF_ONE_FILE = {
    "is_json": "--json",
    "is_brief": "--brief",
    "has_registers": "--registers",
    "has_memory": "--memory",
    "handles": "--handles",
    "all_frames": "--all-frames",
    "no_fold": "--no-fold",
    "source_paths": "--source-path",
}


def analyze_files(arguments: AnalyzeArguments) -> int:
    """Analyse all files that are meant, print a line for each; returns the exit status.

    Raises:
        DumpError: A folder that was given holds no dump.
    """
    _refuse_page_options(arguments)
    paths = list(_expanded(arguments.files))
    order = _order(arguments)
    outcomes = analyze_many(
        paths,
        order,
        workers=arguments.jobs or _processors(),
        is_ordered=not arguments.as_completed,
    )
    tally = _Tally(len(paths))
    try:
        with contextlib.closing(outcomes):
            _write_all(outcomes, tally, arguments, paths)
    except KeyboardInterrupt:
        click.echo(f"stopped after {tally.done} of {len(paths)} files", err=True)
        return 1
    if tally.failed:
        click.echo(f"{tally.failed} of {len(paths)} files could not be analysed", err=True)
    return tally.exit_status(is_strict=arguments.strict)


@dataclass(slots=True)
class _Tally:
    """How many became what."""

    total: int
    done: int = 0
    failed: int = 0
    partial: int = 0

    def count(self, outcome: Outcome) -> None:
        self.done += 1
        self.failed += outcome.failure is not None
        self.partial += outcome.is_partial

    def exit_status(self, *, is_strict: bool) -> int:
        if self.failed == self.total:
            return DumpError.exit_status
        return 5 if is_strict and (self.failed or self.partial) else 0


def _write_all(
    outcomes: Iterator[Outcome],
    tally: _Tally,
    arguments: AnalyzeArguments,
    paths: Sequence[Path],
) -> None:
    write = _write_json if arguments.json_lines else _RowWriter(paths)
    for outcome in _with_progress(outcomes, len(paths)):
        write(outcome)
        tally.count(outcome)


def _processors() -> int:
    """Those that this process may use, where the system tells."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _refuse_page_options(arguments: AnalyzeArguments) -> None:
    for name, option in _OF_ONE_FILE.items():
        if getattr(arguments, name):
            hint = "use --json-lines" if option == "--json" else "give one FILE, and no folder"
            raise click.UsageError(f"{option} is for one file: {hint}")


def _order(arguments: AnalyzeArguments) -> BulkOrder:
    return BulkOrder(
        wants_documents=arguments.json_lines,
        symbols=arguments.symbols,
        debuginfod=arguments.debuginfod,
        insecure_http=arguments.insecure_http,
        local_modules=not arguments.no_local_modules,
        max_frames=arguments.max_frames,
        cache_dir=None if arguments.cache_dir is None else str(arguments.cache_dir),
        in_app=arguments.in_app,
        not_in_app=arguments.not_in_app,
        timeout_s=arguments.timeout_s,
        max_memory_bytes=arguments.max_memory_mib << 20,
    )


def _expanded(files: Iterable[Path]) -> Iterator[Path]:
    """The files, folders replaced by the dumps in and below them, in the order of their names."""
    for file in files:
        if not file.is_dir():
            yield file
            continue
        found = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(file)
            for name in names
            if name.lower().endswith(_ENDINGS)
        )
        if not found:
            raise DumpError(
                "dump_not_found",
                f"{file}: there is no {', '.join(_ENDINGS[:2])} file in or below this folder",
                f"name the files: lastwords analyze {file}/*",
            )
        yield from found


def _with_progress(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Show a bar on stderr meanwhile, if that is a terminal and stdout is none."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from outcomes
        return
    from lastwords.cli.render.counting import counted  # noqa: PLC0415  (40 ms of rich)

    yield from counted(outcomes, total, "dumps")


def _write_json(outcome: Outcome) -> None:
    """The analysis document with the file's path as its first key, or what went wrong."""
    path = json.dumps(os.fspath(outcome.path))
    out = sys.stdout.buffer
    if outcome.failure is not None:
        failure = outcome.failure
        error = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        out.write(f'{{"file":{path},"error":{json.dumps(error)}}}\n'.encode())
    else:
        document = (outcome.answer or b"{}").strip()
        comma = b"" if document == b"{}" else b","
        out.write(f'{{"file":{path}'.encode() + comma + document[1:] + b"\n")
    out.flush()


class _RowWriter:
    """Writes a row of the table for each outcome."""

    def __init__(self, paths: Sequence[Path]) -> None:
        names = (len(clean(os.fspath(path))) for path in paths)
        self._width = min(max(names), _MAX_NAME_WIDTH)
        self._is_coloured = is_coloured()

    def __call__(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            row = failure_row(outcome.path, outcome.failure, self._width)
        else:
            summary = Summary.from_json(outcome.answer or b"{}")
            row = summary_row(outcome.path, summary, self._width)
        click.echo(row.coloured if self._is_coloured else row.plain, color=True)
