"""ProcDump's words for the kinds of dumps, for the verbs `dump` and `run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastwords.errors import CaptureError, DependencyError
from lastwords.monitor.plan import MonitorPlan
from lastwords.sdk.native import find_monitor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["kind_options", "make_plan", "monitor_path"]

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_FLAGS = {
    "-mm": ("mini", "Mini: stacks, and what registers and stacks point to (default)."),
    "-mt": ("triage", "Triage: stacks only, without secrets, user names and text."),
    "-mp": ("miniplus", "MiniPlus: all private and writable memory but the largest area."),
    "-ma": ("full", "Full: all memory that can be read."),
    "-mk": ("kernel", "Kernel: where each thread stands in the kernel."),
}


def _add(context: click.Context, kind: str) -> None:
    context.meta.setdefault("lastwords.kinds", []).append(kind)


def _on_flag(kind: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def add(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001
        if value:
            _add(context, kind)

    return add


def _on_value(kind: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], None]:
    def add(context: click.Context, _: click.Parameter, values: tuple[str, ...]) -> None:
        for value in values:
            _add(context, f"{kind}:{value}" if kind else value)

    return add


def _on_limit(context: click.Context, parameter: click.Parameter, value: float) -> None:
    context.meta.setdefault("lastwords.limits", {})[parameter.name] = value


def kind_options(function: _Function) -> _Function:
    """Add `-mm` and its like, and the limits of dumps."""
    options = [
        click.option(flag, is_flag=True, expose_value=False, callback=_on_flag(kind), help=text)
        for flag, (kind, text) in _FLAGS.items()
    ]
    options += [
        click.option("-mc", metavar="MASK", multiple=True, expose_value=False,
                     callback=_on_value("custom"),
                     help="Custom: a hex mask or names of MiniDumpWith… flags."),
        click.option("-md", metavar="LIBRARY", multiple=True, expose_value=False,
                     callback=_on_value("callback"),
                     help="Callback: a mini dump, and what the library's callback adds."),
        click.option("--kind", metavar="KIND", multiple=True, expose_value=False,
                     callback=_on_value(""),
                     help="The same in words: mini, triage, miniplus, full, custom:MASK, "
                     "callback:LIBRARY, kernel. May be repeated."),
        click.option("--compress", is_flag=True, expose_value=False, callback=_on_limit,
                     help="Compress with zstd (FILE.dmp.zst)."),
        click.option("--locals", "python_locals", is_flag=True, expose_value=False,
                     callback=_on_limit,
                     help="Values of Python's local variables too, without secrets by name."),
        click.option("--max-dump-mb", type=click.FloatRange(min=0), default=0, show_default=True,
                     expose_value=False, callback=_on_limit,
                     help="Most MB of one dump; 0 = no limit."),
        click.option("--min-free-mb", type=click.FloatRange(min=0), default=256, show_default=True,
                     expose_value=False, callback=_on_limit,
                     help="MB that stay free on the disk."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def make_plan(target: str | None, *, is_overwriting: bool) -> MonitorPlan:
    """Return the plan of the options given in this call.

    Raises:
        click.UsageError: A callback library is not there; told before any process is stopped.
    """
    meta = click.get_current_context().meta
    kinds = tuple(dict.fromkeys(meta.get("lastwords.kinds", [])))
    for kind in kinds:
        _check_library(kind)
    return MonitorPlan(
        kinds=kinds,
        target=target,
        is_overwriting=is_overwriting,
        arguments=("lastwords", *sys.argv[1:]),
        **meta["lastwords.limits"],
    )


def _check_library(kind: str) -> None:
    name, _, library = kind.partition(":")
    if name == "callback" and not Path(library).expanduser().is_file():
        message = f"there is no library {library!r} for -md (build one: docs/guides/dumps.md)"
        raise click.UsageError(message)


def monitor_path() -> str:
    """Return the path of the monitor.

    Raises:
        DependencyError: It is not installed.
    """
    try:
        return find_monitor()
    except CaptureError as error:
        raise DependencyError(error.code, error.message, error.hint) from error
