"""Asking a lastwords server: what the verbs `issues` and `reports` have in common."""

from __future__ import annotations

import http.client
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import click

from lastwords.cli.render.clean import clean
from lastwords.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DEFAULT_SERVER", "ask", "server_option", "write_table"]

DEFAULT_SERVER = "http://127.0.0.1:8311"
"""Where `lastwords serve` listens unless told otherwise."""

_TIMEOUT_S = 15
_MAX_ANSWER_BYTES = 64 << 20
_WIDE_COLUMNS = 110
_HINT = "start one with `lastwords serve`, or give its address with --server or LASTWORDS_SERVER"


def server_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option that says which server to ask."""
    return click.option(
        "--server",
        envvar="LASTWORDS_SERVER",
        default=DEFAULT_SERVER,
        metavar="URL",
        show_default=True,
        help="Address of the server; also LASTWORDS_SERVER.",
    )(command)


def ask(server: str, path: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return a JSON document of the server's API.

    Args:
        server: Address of the server, `http` or `https`.
        path: From `/api/` on.
        parameters: Those that are `None` are left out.

    Raises:
        ServerError: `server_unreachable`, or `server_answer_unusable` when something else answers;
            for what the server itself refuses, the same with its message.
    """
    given = {name: str(value) for name, value in parameters.items() if value is not None}
    url = f"{server.rstrip('/')}{path}?{urlencode(given)}".rstrip("?")
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ServerError(
            "server_unreachable",
            f"{server!r} is no address of a server: it must begin with http:// or https://",
            f"for example --server {DEFAULT_SERVER}",
        )
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310  (checked above)
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            return _document(server, response.read(_MAX_ANSWER_BYTES + 1))
    except HTTPError as error:
        raise _refusal(server, error) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ServerError(
            "server_unreachable", f"no server answered at {server}: {reason}", _HINT
        ) from error


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]], wide: set[str]) -> None:
    """Print rows: as a table on a terminal, as lines with tabs between the columns in a pipe.

    Args:
        columns: Headings; the last column takes the lines that it needs.
        rows: Cells; foreign text is made fit for the terminal here.
        wide: Headings of the columns that only a wide terminal (110 columns) shows.
    """
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in [list(columns), *cleaned]:
            click.echo("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415  (pipes do not pay for it)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(no_color="NO_COLOR" in os.environ)
    is_wide = console.width >= _WIDE_COLUMNS
    shown = [index for index, name in enumerate(columns) if is_wide or name not in wide]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index in shown:
        is_last = index == len(columns) - 1
        is_number = bool(cleaned) and all(row[index].isdigit() for row in cleaned)
        table.add_column(
            columns[index],
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=not is_last,
        )
    for row in cleaned:
        table.add_row(*(Text(row[index]) for index in shown))
    console.print(table)


def _document(server: str, body: bytes) -> dict[str, Any]:
    if len(body) > _MAX_ANSWER_BYTES:
        raise ServerError(
            "server_answer_unusable",
            f"the answer of {server} has more than {_MAX_ANSWER_BYTES >> 20} MiB",
            "ask for less with --limit",
        )
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise ServerError(
            "server_answer_unusable",
            f"what answers at {server} is no lastwords server of this version",
            _HINT,
        )
    return document


def _refusal(server: str, error: HTTPError) -> ServerError:
    try:
        document = json.loads(error.read(65_536))
        message = str(document["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return ServerError(
            "server_answer_unusable",
            f"what answers at {server} is no lastwords server: {error.code} {error.reason}",
            _HINT,
        )
    return ServerError(
        "server_answer_unusable", f"the server at {server} refused: {clean(message)}", None
    )
