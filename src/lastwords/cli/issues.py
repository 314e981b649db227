"""`lastwords issues`: the issues of a server, ranked."""

from __future__ import annotations

import json
from typing import Any

import click

from lastwords.cli.server import ask, server_option, write_table

__all__ = ["command"]

_STATUSES = ("unresolved", "new", "open", "resolved", "regressed", "ignored", "all")
_COLUMNS = (
    "RANK",
    "ISSUE",
    "STATUS",
    "INSTALLATIONS",
    "REPORTS",
    "LAST SEEN",
    "VERSION",
    "SIGNATURE",
)


@click.command(epilog="Example: lastwords issues --server http://127.0.0.1:8311 --status all")
@server_option
@click.option(
    "--status",
    type=click.Choice(_STATUSES),
    default="unresolved",
    show_default=True,
    help="Only issues with this status; unresolved is new, open and regressed.",
)
@click.option("--product", help="Only issues of this product.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--json", "is_json", is_flag=True, help="Print the server's JSON document.")
def command(*, server: str, status: str, product: str | None, limit: int, is_json: bool) -> None:
    """List the issues of a server, ranked by installations hit."""
    parameters = {"status": status, "product": product, "limit": limit}
    document = ask(server, "/api/issues", parameters)
    if is_json:
        click.echo(json.dumps(document, indent=2))
        return
    issues = document.get("issues") or []
    if not issues:
        click.echo(f"no issues ({status}) at {server}", err=True)
        return
    write_table(_COLUMNS, [_row(one) for one in issues], {"LAST SEEN", "VERSION"})


def _row(issue: dict[str, Any]) -> list[str]:
    versions = issue.get("versions") or []
    return [
        str(issue.get("rank", "")),
        str(issue.get("id", "")),
        str(issue.get("status", "")),
        str(issue.get("installations", "")),
        str(issue.get("reports", "")),
        str(issue.get("last_seen") or "")[:16].replace("T", " "),
        str(versions[0]) if versions else "unknown",
        str(issue.get("signature", "")),
    ]
