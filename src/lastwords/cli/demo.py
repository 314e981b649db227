"""`lastwords demo`: three crashes of the sample application, led to a web page.

Everything happens in one temporary folder and on the loopback address: the spool, the settings
and the server's data are the demo's own, nothing of the user's is read or changed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastwords.analyze import analyze_dump_json, decode_analysis
from lastwords.cli.render.options import StackChoice, TextOptions
from lastwords.cli.render.styled import write_lines
from lastwords.cli.render.text import analysis_lines
from lastwords.errors import DependencyError, LastwordsError
from lastwords.signature.in_app import InApp
from lastwords.symbols import default_symbol_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command"]

_FAILURES = {
    "access-violation": "C++ code writes through a null pointer, in a worker thread",
    "python-exception": "an unhandled exception in the Python main loop",
    "cpp-exception": "a C++ exception that crosses into Python",
}
_START_S = 20.0
_RUN_S = 30.0
_PROCESS_S = 60.0


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server running and say how to stop it.")
def command(*, keep: bool) -> None:
    """Crash a sample program three ways and lead the reports to a web page.

    Starts a server on a free port of this machine, lets the sample application `victim` die of an
    access violation in C++, of a Python exception and of a C++ exception, delivers the reports,
    and prints the native crash's stack and the issues that the server made of them.

    \b
    Example:
      lastwords demo --keep
    """  # noqa: D301  (\b is click's mark for text that is not wrapped)
    if importlib.util.find_spec("victim") is None:
        raise DependencyError(
            "demo_victim_missing",
            f"the sample application `victim` is not installed for {sys.executable}",
            "run `make setup` in a checkout, or `pip install ./examples/victim`",
        )
    with _stage(is_kept=keep) as stage:
        _crash_three_times(stage)
        _deliver(stage)
        issues = _wait_for_issues(stage)
        _show_stack(stage)
        _show_issues(stage, issues)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Where the demo takes place."""

    folder: Path
    url: str

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of this very installation to its end."""
        try:
            return subprocess.run(
                [sys.executable, "-m", module, *arguments],
                env=_environment(self.folder),
                cwd=self.folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_RUN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            step = " ".join([module, *arguments])
            raise _failed(f"`python -m {step}` did not end within {_RUN_S:g} s") from error


def _failed(message: str) -> LastwordsError:
    hint = "lastwords demo --keep leaves the server and its log for a closer look"
    return LastwordsError("demo_step_failed", message, hint)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _environment(folder: Path) -> dict[str, str]:
    """The user's environment without any settings of lastwords, and with a home in `folder`."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("LASTWORDS_")}
    kept |= {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    # Each run would deliver what the last one left behind; here one step delivers all.
    return kept | {"LASTWORDS_SKIP_OLD_REPORTS": "1"}


@contextlib.contextmanager
def _stage(*, is_kept: bool) -> Iterator[_Stage]:
    """The running server in a folder of its own; both go at the end, unless they are kept."""
    folder = Path(tempfile.mkdtemp(prefix="lastwords-demo-"))
    server = _start_server(folder)
    try:
        stage = _Stage(folder=folder, url=_wait_for_address(folder, server))
        _say(f"server: {stage.url}, data in {folder}")
        yield stage
    finally:
        if is_kept and server.poll() is None:
            _say("the server is still running; to end it and remove everything:")
            _say(f"  kill {server.pid} && rm -r {folder}")
        else:
            _stop(server)
            shutil.rmtree(folder, ignore_errors=True)


def _start_server(folder: Path) -> subprocess.Popen[bytes]:
    arguments = ["serve", "--data", str(folder / "data"), "--port", "0", "--json"]
    with (folder / "address.json").open("wb") as out, (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lastwords", *arguments],
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for_address(folder: Path, server: subprocess.Popen[bytes]) -> str:
    """The address that the server prints once it listens."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.poll() is None:
        text = (folder / "address.json").read_text("utf-8")
        if text.endswith("\n"):
            return str(json.loads(text)["url"])
        time.sleep(0.05)
    said = (folder / "server.log").read_text("utf-8", errors="replace").strip()[-2000:]
    raise LastwordsError(
        "demo_server_failed",
        f"the server did not listen within {_START_S:g} s; it said:\n{said}",
        "try it alone: lastwords serve --port 0",
    )


def _crash_three_times(stage: _Stage) -> None:
    _say("consent: given by this demo itself (--consent always); an application would ask first")
    for failure, meaning in _FAILURES.items():
        arguments = ["--dump-dir", str(stage.spool), "--url", f"{stage.url}/submit"]
        run = stage.run("victim", "--fail", failure, "--consent", "always", *arguments)
        _say(f"victim --fail {failure}: {meaning}; {_ending(run.returncode)}")
        if run.returncode == 0:
            said = run.stderr.strip()[-500:]
            raise _failed(f"`python -m victim --fail {failure}` did not fail: {said}")


def _ending(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _deliver(stage: _Stage) -> None:
    sent = stage.run("lastwords", "send", "--yes", "--dump-dir", str(stage.spool))
    if sent.returncode != 0:
        said = (sent.stdout + sent.stderr).strip()[-1000:]
        raise _failed(f"the reports were not delivered to {stage.url}: {said}")
    _say(f"delivered: {len(list(stage.spool.glob('completed/*')))} reports")


def _wait_for_issues(stage: _Stage) -> list[dict[str, Any]]:
    """The server's issues, once it has made one of each failure."""
    end = time.monotonic() + _PROCESS_S
    issues: list[dict[str, Any]] = []
    while time.monotonic() < end:
        listed = stage.run("lastwords", "issues", "--server", stage.url, "--json")
        issues = json.loads(listed.stdout)["issues"] if listed.returncode == 0 else []
        if len(issues) >= len(_FAILURES):
            return issues
        time.sleep(0.1)
    found = f"the server made {len(issues)} issues of {len(_FAILURES)} failures"
    raise _failed(f"{found} in {_PROCESS_S:g} s")


def _show_stack(stage: _Stage) -> None:
    dump = next(iter(stage.spool.glob("completed/*/dump.dmp")), None)
    if dump is None:
        raise _failed("no minidump was written of the access violation: see the report's page")
    click.echo()
    document = analyze_dump_json(dump, cache_dir=default_symbol_cache())
    analysis = decode_analysis(document)
    options = TextOptions(stacks=StackChoice.CRASHING, in_app=InApp(analysis.modules))
    write_lines(analysis_lines(analysis, options))
    click.echo()
    click.echo(f"This report's page: {stage.url}/reports/{dump.parent.name}")


def _show_issues(stage: _Stage, issues: list[dict[str, Any]]) -> None:
    click.echo(f"{len(issues)} issues on {stage.url}:")
    sys.stdout.flush()  # the verb writes to the same terminal, and sees that it is one
    arguments = ["issues", "--server", stage.url]
    subprocess.run([sys.executable, "-m", "lastwords", *arguments], check=True, timeout=_RUN_S)
