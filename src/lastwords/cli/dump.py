"""`lastwords dump`: dump a running process, which goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import click

from lastwords.cli.kinds import kind_options, make_plan, monitor_path
from lastwords.cli.render.clean import clean
from lastwords.cli.render.json import write_document
from lastwords.cli.spools import size_text
from lastwords.errors import CODES, DependencyError, LastwordsError, ProcessError

__all__ = ["command"]

_EPILOG = """\b
Examples:
  lastwords dump 4711
  lastwords dump -mm -ma worker.py dumps/
  lastwords dump --locals 4711
  lastwords dump -mc WithFullMemory,WithHandleData 4711 PROCESSNAME_PID_HHMMSS.dmp
  sudo lastwords dump --json 4711 | jq -r '.dumps[].file'

In the name, PROCESSNAME, PID, EXCEPTIONCODE, YYMMDD and HHMMSS are replaced; missing folders are
made.

Exit status: 0 done, 1 the dump could not be written, 2 usage, or several processes have that name,
3 no such process, 4 no permission to look at it, 5 partial result under --strict.
"""


@click.command(epilog=_EPILOG)
@kind_options
@click.option("-o", "--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option("--json", "is_json", is_flag=True, help="Print what was written as JSON.")
@click.option("--strict", is_flag=True, help="End with status 5 when something could not be had.")
@click.argument("process", metavar="PID|NAME")
@click.argument("target", metavar="[FILE|FOLDER]", required=False)
def command(
    *,
    process: str,
    target: str | None,
    overwrite: bool,
    is_json: bool,
    strict: bool,
) -> None:
    """Dump the running process PID, or the only one called NAME; it goes on.

    Any process of yours, whether it knows lastwords or not; of Python processes the Python stacks
    are in the dump too. The process stands still for a moment, which is told. The name is
    PROCESSNAME_YYMMDD_HHMMSS.dmp in the current folder unless FILE or FOLDER says otherwise; a
    file that is there already stays, the new one gets a number.
    """
    plan = make_plan(target, is_overwriting=overwrite)
    written = _ask_monitor(plan.to_json(process=process))
    if is_json:
        write_document(json.dumps(written).encode())
    else:
        _tell(written)
    if strict and (written["soft_errors"] or any(dump.get("is_cut") for dump in written["dumps"])):
        sys.exit(5)


def _ask_monitor(plan: str) -> dict[str, Any]:
    done = subprocess.run(
        [monitor_path(), "dump", "-"], input=plan.encode(), capture_output=True, check=False
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        message = f"the monitor ended with status {done.returncode} and no answer: {said}"
        raise ProcessError("dump_not_made", message, "try again; if it stays, report it") from None
    if not isinstance(answer, dict):
        raise ProcessError("dump_not_made", f"the monitor answered {answer!r:.200}")
    if answer.get("error"):
        raise _error(answer["error"])
    return answer


def _error(told: dict[str, str]) -> LastwordsError:
    code = told["code"] if told["code"] in CODES else "dump_not_made"
    if code == "process_not_traceable":
        return DependencyError(code, told["message"], told["hint"])
    return ProcessError(code, told["message"], told["hint"])


def _tell(written: dict[str, Any]) -> None:
    stopped = f"stood still for {written['stopped_ms']} ms"
    python = f", CPython {written['python']}" if written["python"] else ""
    click.echo(clean(f"{written['process']} ({written['pid']}{python}) {stopped}"), err=True)
    for dump in written["dumps"]:
        cut = ", cut at its limit" if dump.get("is_cut") else ""
        click.echo(f"{dump['kind']} dump, {size_text(dump['size_bytes'])}{cut}:", err=True)
        click.echo(clean(dump["file"]))
    for error in written["soft_errors"]:
        click.echo(clean(f"missing: {error['where']}: {error['message']}"), err=True)
