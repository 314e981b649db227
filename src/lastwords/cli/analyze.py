"""`lastwords analyze`: read dumps and print what happened."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from lastwords.analyze import decode_analysis
from lastwords.analyze.crash_file import opened_as_minidump, with_origin
from lastwords.cli.analyses import analyze_at
from lastwords.cli.analyze_arguments import AnalyzeArguments, analyze_options
from lastwords.cli.render.json import write_document
from lastwords.cli.symbol_options import places_of

if TYPE_CHECKING:
    from pathlib import Path

    from lastwords.analyze.machine import MachineState
    from lastwords.cli.render.sources import SourceView
    from lastwords.report.analysis import Analysis
    from lastwords.symbols.places import Places

__all__ = ["command"]

_SOURCE_FRAMES = 3

_EPILOG = """\b
Examples:
  lastwords analyze crash.dmp
  lastwords analyze crash.dmp --symbols build/symbols --threads all
  lastwords analyze crash.dmp --symbols https://debuginfod.debian.net
  lastwords analyze crash.dmp --source-path ~/src/app --in-app 'app*'
  lastwords analyze crash.dmp --registers --memory
  lastwords analyze crash.dmp --brief
  lastwords analyze crash.dmp --json | jq .crash_info
  lastwords analyze core.4711
  lastwords analyze dumps/
  lastwords analyze dumps/*.dmp --json-lines -j 4 > analyses.jsonl

A frame is in-app (marked * and bold) unless its module is a library of the system, the Python
interpreter, its standard library, or a runtime of a compiler. PATTERN (with * and ?) is compared
with modules, source files, each name in their paths, and functions.

Exit status: 0 done, 1 stopped, 2 usage, 3 not readable (of many: none is), 5 partial result
under --strict (of many: of one, or one is not readable).
"""


@click.command(epilog=_EPILOG)
@analyze_options
def command(**given: Any) -> None:  # noqa: ANN401  (click's edge: one name for each option)
    """Read the dump FILE and print what happened.

    Shows the crash reason, the crashing thread's stack with Python and native frames merged and
    in-app frames emphasised, the other threads, the modules with their symbols, and what could not
    be had. ELF cores, Breakpad microdumps (in a log too) and packed files are converted first.

    Of many files, or a folder (all *.dmp in and below it), it prints one line each: file, reason,
    first in-app frame. A file that cannot be read does not stop the others.

    Nothing is downloaded unless --symbols gives an address, or --debuginfod, or --source-path srv*.
    """
    arguments = AnalyzeArguments(**given)
    places = places_of(
        arguments.symbols,
        debuginfod=arguments.debuginfod,
        insecure_http=arguments.insecure_http,
    )
    first = arguments.files[0]
    if arguments.json_lines or len(arguments.files) > 1 or first.is_dir():
        from lastwords.cli.analyze_many import analyze_files  # noqa: PLC0415  (rarely needed)

        sys.exit(analyze_files(arguments))
    with opened_as_minidump(first) as file:
        document = with_origin(_analyze(file.path, places, arguments), file)
        if arguments.is_json:
            write_document(document)
        else:
            _show(file.path, document, places, arguments)
    if arguments.strict and decode_analysis(document).is_partial:
        sys.exit(5)


def _analyze(file: Path, places: Places, arguments: AnalyzeArguments) -> bytes:
    return analyze_at(
        file,
        places,
        local_modules=not arguments.no_local_modules,
        max_frames=arguments.max_frames,
        insecure_http=arguments.insecure_http,
        cache_dir=arguments.cache_dir,
    )


def _show(file: Path, document: bytes, places: Places, arguments: AnalyzeArguments) -> None:
    """Print the page, or the few lines."""
    # What --json does not need is not imported by it.
    from lastwords.cli.render.options import StackChoice, TextOptions  # noqa: PLC0415
    from lastwords.cli.render.styled import write_lines  # noqa: PLC0415
    from lastwords.cli.render.text import analysis_lines  # noqa: PLC0415
    from lastwords.signature.in_app import InApp  # noqa: PLC0415

    analysis = decode_analysis(document)
    in_app = InApp(analysis.modules, only=arguments.in_app, never=arguments.not_in_app)
    if arguments.is_brief:
        from lastwords.cli.render.brief import brief_lines  # noqa: PLC0415

        write_lines(brief_lines(analysis, in_app))
        return
    options = TextOptions(
        stacks=StackChoice(arguments.stacks),
        is_plumbing_shown=arguments.all_frames,
        is_folded=not arguments.no_fold,
        are_handles_shown=arguments.handles,
        in_app=in_app,
        sources=_sources(document, analysis, arguments),
        machine=_machine(file, analysis, places, arguments),
        are_registers_shown=arguments.has_registers,
        is_memory_shown=arguments.has_memory,
    )
    write_lines(analysis_lines(analysis, options))


def _machine(
    file: Path, analysis: Analysis, places: Places, arguments: AnalyzeArguments
) -> MachineState | None:
    """Registers and memory of the crashing thread, else of the first one."""
    if not (arguments.has_registers or arguments.has_memory) or not analysis.threads:
        return None
    from lastwords.analyze.machine import machine_state  # noqa: PLC0415  (rarely needed)
    from lastwords.analyze.session import DumpSession  # noqa: PLC0415
    from lastwords.report.analysis import is_fault  # noqa: PLC0415

    session = DumpSession(
        file, symbols=places.all_paths, local_modules=not arguments.no_local_modules
    )
    info = analysis.crash_info
    fault = info.address if info and is_fault(info.type) else None
    return machine_state(
        session, analysis.crashing_index or 0, fault=fault, has_memory=arguments.has_memory
    )


def _sources(document: bytes, analysis: Analysis, arguments: AnalyzeArguments) -> SourceView | None:
    """The source lines of frames: below the folders that were given, else of this machine."""
    from lastwords.cli.render.sources import SourceView  # noqa: PLC0415  (--json needs none)

    if arguments.source_paths:
        from lastwords.cli.source_search import source_files  # noqa: PLC0415

        found = source_files(
            document, arguments.source_paths, insecure_http=arguments.insecure_http
        )
        return SourceView(found)
    from lastwords.analyze.made_here import made_here  # noqa: PLC0415

    made_s = None if arguments.no_local_modules else made_here(analysis)
    if made_s is None:
        return None
    from lastwords.symbols.source_files import SourceFiles  # noqa: PLC0415

    files = SourceFiles((), unchanged_since=made_s)
    return SourceView(files, max_frames=_SOURCE_FRAMES, context=2)
