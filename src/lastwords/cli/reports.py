"""`lastwords reports`: the reports of a server, or one of them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from lastwords.cli.render.clean import clean
from lastwords.cli.server import ask, server_option, write_table
from lastwords.report.mechanism_words import mechanism_words

__all__ = ["command"]

_STATES = ("all", "received", "processing", "processed", "failed")
_COLUMNS = ("REPORT", "STATE", "ISSUE", "RECEIVED", "PRODUCT", "VERSION", "WHAT")


@click.command(
    epilog="Examples: lastwords reports --issue 3; "
    "lastwords reports 0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"
)
@click.argument("report_id", required=False)
@server_option
@click.option("--issue", type=int, help="Only reports of this issue.")
@click.option("--product", help="Only reports of this product.")
@click.option("--state", type=click.Choice(_STATES), default="all", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--json", "is_json", is_flag=True, help="Print the server's JSON document.")
def command(  # noqa: PLR0913  (one parameter per option)
    *,
    report_id: str | None,
    server: str,
    issue: int | None,
    product: str | None,
    state: str,
    limit: int,
    is_json: bool,
) -> None:
    """List the reports of a server, newest first; or show REPORT_ID alone."""
    if report_id is not None:
        document = ask(server, f"/api/reports/{quote(report_id, safe='')}", {})
    else:
        parameters = {"issue": issue, "product": product, "state": state, "limit": limit}
        document = ask(server, "/api/reports", parameters)
    if is_json:
        click.echo(json.dumps(document, indent=2))
    elif report_id is not None:
        _write_report(server, document.get("report") or {})
    elif document.get("reports"):
        write_table(
            _COLUMNS, [_row(one) for one in document["reports"]], {"RECEIVED", "PRODUCT", "VERSION"}
        )
    else:
        click.echo(f"no such reports at {server}", err=True)


def _row(report: dict[str, Any]) -> list[str]:
    issue = report.get("issue")
    return [
        str(report.get("id", "")),
        str(report.get("state", "")),
        "-" if issue is None else str(issue),
        str(report.get("received") or "")[:16].replace("T", " "),
        str(report.get("product") or "unknown"),
        str(report.get("version") or "unknown"),
        str(report.get("state_reason") or report.get("signature") or "not known yet"),
    ]


def _write_report(server: str, report: dict[str, Any]) -> None:
    names = (
        ("report", "id"),
        ("state", "state"),
        ("reason of the state", "state_reason"),
        ("signature", "signature"),
        ("issue", "issue"),
        ("product", "product"),
        ("version", "version"),
        ("system", "os"),
        ("processor", "arch"),
        ("crash reason", "crash_reason"),
        ("address", "crash_address"),
        ("received", "received"),
    )
    for label, name in names:
        if report.get(name) is not None:
            click.echo(f"{label:20} {clean(str(report[name]))}")
    document = report.get("document")
    mechanism = document.get("mechanism") if isinstance(document, dict) else None
    for label, words in mechanism_words(mechanism if isinstance(mechanism, dict) else {}):
        click.echo(f"{label.lower():20} {clean(words)}")
    for file in report.get("files") or []:
        click.echo(f"{'file':20} {clean(str(file.get('name')))} ({file.get('size_bytes')} bytes)")
    for note in report.get("notes") or []:
        click.echo(f"{'note':20} {clean(str(note.get('step')))}: {clean(str(note.get('message')))}")
    click.echo(f"{'page':20} {server.rstrip('/')}{clean(str(report.get('url')))}")
