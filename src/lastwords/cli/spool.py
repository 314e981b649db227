"""`lastwords spool`: the reports on this machine, and who may send them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lastwords.cli.render.clean import clean, printable
from lastwords.cli.spools import (
    open_spools,
    report_line,
    report_title,
    say_where_nothing_is,
    size_text,
    spooled_json,
)
from lastwords.config import CONSENT_CHOICES, load_settings
from lastwords.errors import SpoolError
from lastwords.report.mechanism_words import mechanism_words
from lastwords.spool.prune import lost_undelivered, prune
from lastwords.upload.consent import (
    consent_by_product,
    consent_path,
    read_consent,
    store_consent,
)

if TYPE_CHECKING:
    from lastwords.spool.spool import Spool, SpooledReport

__all__ = ["command"]

_dump_dir = click.option(
    "--dump-dir", metavar="DIR", help="Spool directory. Default: all of this user."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(epilog="Example: lastwords spool list --dump-dir ./spool")
def command() -> None:
    """List, show and manage the reports on this machine."""


@command.command("list", epilog="Example: lastwords spool list --json")
@_dump_dir
@_as_json
def list_reports(dump_dir: str | None, as_json: bool) -> None:  # noqa: FBT001
    """List the reports: pending ones first, oldest first."""
    spools = open_spools(dump_dir)
    if as_json:
        reports = [spooled_json(item) for spool in spools for item in spool.reports()]
        lost = sum(lost_undelivered(spool) for spool in spools)
        click.echo(json.dumps({"reports": reports, "pruned_undelivered": lost}, indent=2))
        return
    if not spools:
        say_where_nothing_is()
    for spool in spools:
        click.echo(spool.directory)
        for spooled in spool.reports():
            state = spooled.delivery.outcome or spooled.state
            click.echo(f"  {state:10} {report_line(spooled)}{_attempts(spooled)}")
        if lost := lost_undelivered(spool):
            click.echo(f"  {lost} undelivered reports were removed to keep the spool small")


def _attempts(spooled: SpooledReport) -> str:
    count = spooled.delivery.attempts
    if spooled.state != "pending" or not count:
        return ""
    return f", {count} failed {'delivery' if count == 1 else 'deliveries'}"


@command.command(epilog="Example: lastwords spool show 0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9")
@click.argument("report_id")
@_dump_dir
@_as_json
def show(report_id: str, dump_dir: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show one report: everything that a delivery would send."""
    spooled = _find(dump_dir, report_id)[1]
    if as_json:
        click.echo(json.dumps(spooled_json(spooled), indent=2))
        return
    for line in _facts(spooled) + _exception(spooled):
        click.echo(printable(line))


def _facts(spooled: SpooledReport) -> list[str]:
    report, delivery = spooled.report, spooled.delivery
    lines = [
        f"report     {spooled.report_id} ({delivery.outcome or spooled.state})",
        f"product    {report.product or 'unknown'} {report.version or ''}",
        f"created    {report.created or 'unknown'}",
        f"crash      {report_title(report)}",
        f"url        {report.url or 'none'}",
    ]
    if delivery.attempts:
        lines.append(f"attempts   {delivery.attempts}, last error: {delivery.last_error or 'none'}")
    if delivery.server_id:
        lines.append(f"server id  {delivery.server_id}")
    lines += [
        f"file       {part}: {path} ({size_text(size_bytes)})"
        for part, path, size_bytes in spooled.files()
    ]
    lines += [f"annotation {key} = {value}" for key, value in sorted(report.annotations.items())]
    if report.mechanism is not None:
        words = mechanism_words(asdict(report.mechanism))
        lines += [f"{label.lower():10} {text}" for label, text in words]
    return lines + [
        f"missing    {problem.where}: {problem.message} ({problem.code})"
        for problem in report.soft_errors
    ]


def _exception(spooled: SpooledReport) -> list[str]:
    error = spooled.report.exception
    if error is None:
        return []
    first, *rest = (error.message or "").splitlines() or [""]
    lines = [f"exception  {error.type}: {first} (thread {error.thread_name})"]
    lines += [f"           {line}" for line in rest]
    lines += [
        f"  {frame.file}:{frame.line} {frame.qualname or frame.function}" for frame in error.frames
    ]
    return lines


@command.command(epilog="Example: lastwords spool consent always --product heat-sim")
@click.argument("choice", required=False, type=click.Choice(CONSENT_CHOICES))
@click.option("--product", metavar="NAME", help="Decide for one product only.")
@_as_json
def consent(choice: str | None, product: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show or store the decision whether reports may be sent."""
    if choice is not None:
        store_consent(choice, product)
    stored = read_consent(product)
    products = {} if product is not None else consent_by_product()
    if as_json:
        document = {
            "product": product,
            "consent": stored or "ask",
            "is_stored": stored is not None,
            "path": consent_path(),
            "products": products,
        }
        click.echo(json.dumps(document, indent=2))
        return
    kept = f"stored in {consent_path()}" if stored is not None else "nothing is stored"
    click.echo(f"{stored or 'ask'} ({kept})")
    for name, decision in sorted(products.items()):
        click.echo(f"{decision} for {clean(name)}")


@command.command("prune", epilog="Example: lastwords spool prune --dump-dir ./spool")
@_dump_dir
@_as_json
def prune_spool(dump_dir: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Remove old reports as the settings keep_days and max_spool_mb say."""
    settings, problems = load_settings({})
    for problem in problems:
        raise problem
    max_bytes = int(settings.max_spool_mb * 1e6)
    results = {
        spool.directory: prune(spool, max_bytes=max_bytes, keep_days=settings.keep_days)
        for spool in open_spools(dump_dir)
    }
    if as_json:
        click.echo(json.dumps({path: asdict(result) for path, result in results.items()}, indent=2))
        return
    for path, result in results.items():
        click.echo(
            f"{path}: removed {result.completed} completed and {result.undelivered} undelivered "
            f"reports, freed {size_text(result.freed_bytes)}, {size_text(result.size_bytes)} remain"
        )


@command.command(epilog="Example: lastwords spool delete 0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9")
@click.argument("report_id")
@_dump_dir
@_as_json
def delete(report_id: str, dump_dir: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Delete one report from this machine."""
    spool, spooled = _find(dump_dir, report_id)
    spool.delete(spooled.state, report_id)
    if as_json:
        click.echo(json.dumps({"report_id": report_id, "is_deleted": True}, indent=2))
        return
    click.echo(f"deleted {report_id}")


def _find(dump_dir: str | None, report_id: str) -> tuple[Spool, SpooledReport]:
    missing = SpoolError(
        "spool_report_not_found",
        f"no spool of this user holds report {report_id}",
        "lastwords spool list shows the ids; --dump-dir names another spool",
    )
    for spool in open_spools(dump_dir):
        try:
            return spool, spool.find(report_id)
        except SpoolError as error:  # noqa: PERF203  (looking through all)
            if error.code != "spool_report_not_found":
                raise
            missing = error
    raise missing
