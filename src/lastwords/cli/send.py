"""`lastwords send`: deliver what is pending."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lastwords.cli.spools import open_spools, report_line, say_where_nothing_is, size_text
from lastwords.config import load_settings
from lastwords.errors import SpoolError
from lastwords.upload.consent import Decision, decide
from lastwords.upload.delivery import Delivery, Outcome, deliver
from lastwords.upload.sender import Timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastwords.config import Settings
    from lastwords.spool.spool import Spool, SpooledReport

__all__ = ["command"]

_ANSWERS = {"y": "once", "a": "always", "n": "no", "v": "never"}
_HAPPENED = {
    "delivered": "delivered",
    "rejected": "refused by the server for good, kept in completed/",
    "failed": "not delivered, stays pending",
    "given_up": "not delivered, given up, kept in completed/",
    "not_allowed": "not sent",
    "no_url": "not sent",
    "waiting": "not sent yet",
    "busy": "left to another process",
    "skipped": "not tried",
}


@click.command(
    epilog="Example: lastwords send --dump-dir ./spool --url https://crashes.example.com/submit"
)
@click.argument("report_ids", metavar="[REPORT_ID]...", nargs=-1)
@click.option("--dump-dir", metavar="DIR", help="Spool directory. Default: all of this user.")
@click.option("--url", metavar="URL", help="Where to send. Default: what each report names.")
@click.option("--yes", is_flag=True, help="Send without asking, this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    report_ids: tuple[str, ...],
    dump_dir: str | None,
    url: str | None,
    yes: bool,  # noqa: FBT001  (click passes options like this)
    as_json: bool,  # noqa: FBT001
) -> None:
    """Deliver the pending reports of this machine.

    Asks before anything is sent, unless a decision is stored (`lastwords spool consent`) or --yes
    is given. Waiting times after earlier failures are ignored. With REPORT_IDs only those are
    sent, also such as were given up or refused.

    Exit status 1: something that could have been sent stays undelivered.
    """
    settings, problems = load_settings({"url": url})
    for problem in problems:
        raise problem
    delivery = Delivery(
        gate=lambda product, target, reports: _gate(
            product, target, reports, settings=settings, is_yes=yes
        ),
        url=url or settings.url,
        timeouts=Timeouts(connect_s=settings.connect_timeout_s, idle_s=settings.idle_timeout_s),
        retry_count=settings.retry_count,
        is_by_hand=True,
    )
    outcomes: list[Outcome] = []
    spools = open_spools(dump_dir)
    if not spools:
        say_where_nothing_is()
    for spool, wanted in _wanted(spools, report_ids):
        outcomes += deliver(spool, delivery, report_ids=wanted)
    _print(outcomes, as_json=as_json)
    if any(outcome.outcome not in ("delivered", "busy") for outcome in outcomes):
        sys.exit(1)


def _wanted(
    spools: Sequence[Spool], report_ids: Sequence[str]
) -> list[tuple[Spool, list[str] | None]]:
    """Find the reports that were named, and make completed ones pending again."""
    if not report_ids:
        return [(spool, None) for spool in spools]
    found: list[tuple[Spool, list[str] | None]] = []
    for report_id in dict.fromkeys(report_ids):
        spool = next((s for s in spools if _stage(s, report_id) is not None), None)
        if spool is None:
            raise SpoolError(
                "spool_report_not_found",
                f"no spool that was looked through holds report {report_id}",
                "lastwords spool list shows the ids",
            )
        if _stage(spool, report_id) == "completed":
            spool.reopen(report_id)
        found.append((spool, [report_id]))
    return found


def _stage(spool: Spool, report_id: str) -> str | None:
    try:
        stage = spool.find(report_id).state
    except SpoolError as error:
        if error.code == "spool_bad_report_id":
            raise
        return None
    return stage if stage in ("pending", "completed") else None


def _gate(
    product: str | None,
    url: str,
    reports: Sequence[SpooledReport],
    *,
    settings: Settings,
    is_yes: bool,
) -> Decision:
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    return decide(
        product,
        setting=settings.consent,
        passed=True if is_yes else None,
        ask=(lambda: _ask(url, reports)) if can_ask else None,
    )


def _ask(url: str, reports: Sequence[SpooledReport]) -> str:
    """Show on the terminal what would go where, and ask."""
    total = sum(size for spooled in reports for _, _, size in spooled.files())
    count = "1 crash report" if len(reports) == 1 else f"{len(reports)} crash reports"
    click.echo(f"{count}, {size_text(total)}, would be sent to {url}:", err=True)
    for spooled in reports:
        click.echo(f"  {report_line(spooled)}", err=True)
        for part, path, size_bytes in spooled.files():
            click.echo(f"    {part}: {path} ({size_text(size_bytes)})", err=True)
    answer = click.prompt(
        "Send? [y]es once, [a]lways, [n]o, ne[v]er",
        type=click.Choice(list(_ANSWERS), case_sensitive=False),
        show_choices=False,
        err=True,
    )
    return _ANSWERS[str(answer).lower()]


def _print(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"reports": [asdict(outcome) for outcome in outcomes]}, indent=2))
        return
    if not outcomes:
        click.echo("no report is pending")
    for outcome in outcomes:
        line = f"{outcome.report_id}  {_HAPPENED.get(outcome.outcome, outcome.outcome)}"
        if outcome.server_id is not None:
            line += f" as {outcome.server_id}"
        if outcome.reason is not None:
            line += f": {outcome.reason}"
        click.echo(line)
    if any(outcome.outcome == "not_allowed" for outcome in outcomes):
        click.echo(
            "hint: lastwords send --yes sends them once, "
            "lastwords spool consent always --product NAME from now on",
            err=True,
        )
    if any(outcome.outcome == "no_url" for outcome in outcomes):
        click.echo("hint: lastwords send --url URL says where to send them", err=True)
