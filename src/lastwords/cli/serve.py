"""`lastwords serve`: one process that collects, processes and shows reports."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.config import state_dir
from lastwords.errors import DependencyError, SettingsError
from lastwords.symbols import SymbolSources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lastwords.collector import Collector
    from lastwords.store import Store

    Receive = Callable[[], Awaitable[Mapping[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

__all__ = ["ServerApp", "command"]

_DEFAULT_PORT = 8311
_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


@click.command(
    "serve",
    epilog="Example: lastwords serve --data ./crashes --port 8311 --symbols ./symbols",
)
@click.option(
    "--data",
    "data_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of database and files, made when absent. Default: in the user's state folder.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--symbols",
    multiple=True,
    metavar="PATH",
    help="Where symbols are looked for: folder, symbol tree or file; repeatable.",
)
@click.option(
    "--local-modules/--no-local-modules",
    "local_modules",
    default=None,
    help="Read the modules that a dump names from this machine. Default: only on a loopback host.",
)
@click.option(
    "--symbol-cache",
    metavar="PATH",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep answers about symbols here, from one dump to the next. Default: keep nothing.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="Dumps that are analysed at once.")
@click.option("--json", "is_json", is_flag=True, help="Print the address as one line of JSON.")
def command(  # noqa: PLR0913  (one parameter per option)
    *,
    data_dir: Path | None,
    host: str,
    port: int,
    symbols: tuple[str, ...],
    local_modules: bool | None,
    symbol_cache: Path | None,
    workers: int | None,
    is_json: bool,
) -> None:
    """Run the server that collects, groups and shows reports.

    Prints its address once it listens, and runs until SIGINT or SIGTERM. Reports go to
    `POST /submit`; `GET /health` tells how it is.
    """
    _require_extras()
    _log_to_stderr()
    # Children run in another folder. A typing error must show here, not in every report.
    sources = SymbolSources(paths=tuple(Path(one).absolute() for one in symbols))
    sources.check()
    is_loopback = _is_loopback(host)
    if not is_loopback:
        click.echo(
            f"warning: whoever can reach {host} can read all reports: there is no sign-in; "
            "put an authenticating proxy in front",
            err=True,
        )
    listener = _listen(host, port)
    from lastwords.processor import Processor, ProcessorSettings  # noqa: PLC0415
    from lastwords.store import open_store  # noqa: PLC0415

    store = open_store(data_dir or Path(f"{state_dir()}-server"), is_owner=True)
    settings = ProcessorSettings(
        symbols=tuple(str(path) for path in sources.paths),
        is_local_allowed=is_loopback if local_modules is None else local_modules,
        symbol_cache=None if symbol_cache is None else str(symbol_cache.absolute()),
    )
    processor = Processor(store, settings, workers=workers)
    processor.start()
    try:
        _run(store, processor.wake, listener, is_loopback=is_loopback, is_json=is_json)
    finally:
        processor.stop()
        store.close()
        listener.close()


class ServerApp:
    """The ASGI application: reports to the collector, the rest to the pages; answers `/health`.

    Args:
        store: An open store.
        collector: Takes the collector's addresses.
        pages: An ASGI application for everything else, `lifespan` included.
    """

    def __init__(self, store: Store, collector: Collector, pages: AsgiApp) -> None:
        self._store = store
        self._collector = collector
        self._pages = pages

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] == "http":
            if scope["path"] == "/health":
                await self._health(send)
                return
            if self._collector.takes(scope):
                await self._collector(scope, receive, send)
                return
            if scope["method"] == "HEAD":  # RFC 9110, 9.3.2: as GET; uvicorn keeps the body back
                scope = {**scope, "method": "GET"}
        await self._pages(scope, receive, send)

    async def _health(self, send: Send) -> None:
        status = 200
        document: dict[str, str | int] = {"status": "ok", "version": _version()}
        try:
            document["queue_depth"] = await asyncio.to_thread(self._store.queue_depth)
        except Exception as error:  # noqa: BLE001  (border: the answer is that it is not well)
            status = 503
            document["status"] = "database not usable"
            document["error"] = type(error).__name__
        body = json.dumps(document).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _run(
    store: Store,
    on_accepted: Callable[[], None],
    listener: socket.socket,
    *,
    is_loopback: bool,
    is_json: bool,
) -> None:
    import uvicorn  # noqa: PLC0415

    from lastwords.collector import Collector  # noqa: PLC0415
    from lastwords.web.app import create_app  # noqa: PLC0415
    from lastwords.web.host_guard import LoopbackHosts  # noqa: PLC0415

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.should_exit:
                _announce(listener, store.data_dir, is_json=is_json)

    collector = Collector(store, on_accepted=on_accepted)
    pages = LoopbackHosts(create_app(store)) if is_loopback else create_app(store)
    config = uvicorn.Config(
        ServerApp(store, collector, pages),
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
    )
    # uvicorn raises the signal that stopped it once more when it is done; then there is nothing
    # left to do but the rest of the graceful stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server = Server(config)
    server.run(sockets=[listener])
    collector.close()
    if not server.started:
        raise SystemExit(1)


def _announce(listener: socket.socket, data_dir: Path, *, is_json: bool) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if is_json:
        line = json.dumps({"url": url, "pid": os.getpid(), "data": str(data_dir)})
    else:
        line = f"lastwords server on {url} (data in {data_dir})"
    click.echo(line)
    sys.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything else is touched, so that a taken port costs nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SettingsError(
            "address_not_usable",
            f"the host {host!r} has no address on this machine: {error.strerror}",
            "give an address of this machine with --host, such as 127.0.0.1",
        ) from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _bind_error(host, port, error) from error
    return listener


def _bind_error(host: str, port: int, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            "port_in_use",
            f"port {port} of {host} is taken by another program",
            "give another one with --port, or --port 0 for a free one",
        )
    return SettingsError(
        "address_not_usable",
        f"cannot listen on {host}, port {port}: {error.strerror}",
        "give an address of this machine with --host, and a port above 1023 with --port",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _version() -> str:
    from lastwords import __version__  # noqa: PLC0415

    return __version__


def _require_extras() -> None:
    try:
        import alembic  # noqa: F401, PLC0415
        import jinja2  # noqa: F401, PLC0415
        import litestar  # noqa: F401, PLC0415
        import multipart  # type: ignore[import-untyped]  # noqa: F401, PLC0415  (no py.typed)
        import sqlalchemy  # noqa: F401, PLC0415
        import uvicorn  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise DependencyError(
            "extra_missing",
            f"the server needs the package {error.name!r}, which is not installed",
            "pip install 'lastwords[server]'",
        ) from error


class _FieldFormatter(logging.Formatter):
    """`time level logger: message key=value …`, one line per record but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        extra = {k: v for k, v in record.__dict__.items() if k not in _STANDARD_FIELDS}
        fields = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in extra.items())
        first, newline, rest = text.partition("\n")
        return f"{first} {fields}".rstrip() + newline + rest


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FieldFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lastwords").setLevel(logging.INFO)
