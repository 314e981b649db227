"""`lastwords signature`: why a dump or a report is grouped as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lastwords.cli.render.clean import clean
from lastwords.errors import DumpError
from lastwords.signature import as_document, as_lines, from_analysis, from_report, sign
from lastwords.symbols import default_symbol_cache

__all__ = ["command"]

_MAX_DOCUMENT_BYTES = 256 << 20
_MINIDUMP_SIGNATURES = (b"MDMP", b"PMDM")


@click.command(
    epilog="Examples: lastwords signature crash.dmp --symbols ./symbols; "
    "lastwords signature spool/pending/ID/report.json"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--symbols",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Symbol source for a dump: file or folder. May be repeated.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the explanation as JSON.")
def command(*, file: Path, symbols: tuple[Path, ...], is_json: bool) -> None:
    """Explain step by step how FILE is grouped.

    FILE is a minidump, an analysis document (`lastwords analyze --json`), or a report.json; beside
    a report.json, its dump is read too.
    """
    result = sign(_source(file, symbols))
    if is_json:
        click.echo(json.dumps(as_document(result), indent=2))
        return
    for line in as_lines(result):
        click.echo(clean(line))


def _source(file: Path, symbols: tuple[Path, ...]) -> Any:  # noqa: ANN401  (a SignatureInput)
    if not _is_json(file):
        return from_analysis(_analysis_of(file, symbols))
    document = _document(file)
    if "crash_info" in document or "threads" in document:
        return from_analysis(document)
    if not {"mechanism", "exception", "report_id"} & document.keys():
        raise DumpError(
            "document_malformed",
            f"{file} is a JSON object, but neither a report nor an analysis document",
            "give a minidump, a report.json, or what `lastwords analyze --json` printed",
        )
    dump = file.with_name("dump.dmp")
    return from_report(document, _analysis_of(dump, symbols) if dump.is_file() else None)


def _analysis_of(file: Path, symbols: tuple[Path, ...]) -> dict[str, Any]:
    from lastwords.analyze import analyze_dump_json  # noqa: PLC0415  (JSON needs no native core)

    cache_dir = default_symbol_cache()
    document = json.loads(analyze_dump_json(file, symbols=symbols, cache_dir=cache_dir))
    return document if isinstance(document, dict) else {}


def _is_json(file: Path) -> bool:
    """Tell a document from a dump; what cannot be read is left to the reader of dumps.

    A pipe too, which would be waited for without end: that reader refuses it and says why.
    """
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError:
        return False
    return not start.startswith(_MINIDUMP_SIGNATURES) and start.lstrip()[:1] == b"{"


def _document(file: Path) -> dict[str, Any]:
    size_bytes = file.stat().st_size
    if size_bytes > _MAX_DOCUMENT_BYTES:
        raise DumpError(
            "document_malformed",
            f"{file} has {size_bytes:,} bytes; at most {_MAX_DOCUMENT_BYTES:,} are read",
            None,
        )
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DumpError(
            "document_malformed",
            f"{file} begins like a JSON object but is none: {error}",
            "give a minidump, a report.json, or what `lastwords analyze --json` printed",
        ) from error
    return document if isinstance(document, dict) else {}
