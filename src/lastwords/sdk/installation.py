"""`install()` and `uninstall()`: puts the parts together and takes them apart again."""

from __future__ import annotations

import _thread
import os

from lastwords.config import default_dump_dir, load_settings
from lastwords.errors import CaptureError, LastwordsError, SettingsError, SpoolError
from lastwords.report.json_text import json_text
from lastwords.sdk import native, problems
from lastwords.sdk.additions import push_additions, renew_lock
from lastwords.sdk.annotations import push_annotations
from lastwords.sdk.breadcrumbs import push_breadcrumbs
from lastwords.sdk.exits import note_exit_of_worker, note_exits
from lastwords.sdk.hooks import HOOK_NAMES, Hooks
from lastwords.sdk.options import ignored_signals
from lastwords.sdk.python_report import PythonReporter, base_document
from lastwords.spool.session_files import has_dead_sessions
from lastwords.spool.writer import client_id, ensure_spool, has_reports, new_report_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.config import Settings

__all__ = ["Installation", "install", "installed_settings", "uninstall"]


class Installation:
    """What `install()` has armed, and what it could not.

    Attributes:
        is_enabled: False when the setting `enabled` switched everything off.
        is_native_armed: Whether native crashes are captured.
        monitor_pid: Process id of the monitor; `None` without one.
        hooks: Names of the hooks through which Python exceptions are reported.
        dump_dir: The spool directory; `None` when no report can be written at all.
        client_id: Random id of this installation; `None` without a spool.
        problems: What was wrong, each with `code`, `message` and `hint`. Empty when all is well.
    """

    __slots__ = (
        "client_id",
        "dump_dir",
        "hooks",
        "is_enabled",
        "is_native_armed",
        "monitor_pid",
        "problems",
    )

    def __init__(self) -> None:
        self.is_enabled = True
        self.is_native_armed = False
        self.monitor_pid: int | None = None
        self.hooks: tuple[str, ...] = ()
        self.dump_dir: str | None = None
        self.client_id: str | None = None
        self.problems: list[LastwordsError] = []

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}={getattr(self, name)!r}" for name in self.__slots__ if name != "problems"
        )
        return f"Installation({values}, problems={[problem.code for problem in self.problems]})"


class _State:
    """What is installed in this process."""

    def __init__(self) -> None:
        self.lock = _thread.RLock()
        self.settings: Settings | None = None
        self.installation: Installation | None = None
        self.hooks: Hooks | None = None
        self.reporter: PythonReporter | None = None
        self.has_fork_hook = False
        self.exit_mark_pid: int | None = None
        self.has_kept_house = False


_state = _State()


def install(
    product: str = "",
    version: str = "",
    url: str | None = None,
    dump_dir: str | os.PathLike[str] | None = None,
    hang_timeout: float | None = None,
    **settings: object,
) -> Installation:
    """Report the crashes of this process from now on.

    Starts the native monitor, arms the signal handlers, hooks uncaught Python exceptions, and
    delivers what earlier runs left behind where the user has allowed that. Calling it again
    with the same settings changes nothing, with others it replaces them.

    Args:
        product: Name of the application. Needed, as the version is; reports without them are
            `unknown`, and a warning says so: a forgotten argument is no reason to raise here.
        version: Its version.
        url: Where to send reports; without it they stay on this machine.
        dump_dir: The spool directory; by default one in the user's state directory.
        hang_timeout: Accepted for later; hang detection is not available in this version.
        **settings: Any other setting of `docs/reference/settings.md`.

    Returns:
        What is armed and what is not. Never raises: what is wrong is warned about
        (`LastwordsWarning`), listed in `problems`, and the application goes on.
    """
    given = {
        "product": product,
        "version": version,
        "url": url,
        "dump_dir": dump_dir,
        "hang_timeout": hang_timeout,
        **settings,
    }
    try:
        with _state.lock:
            installation = _install(given)
    except Exception as error:  # noqa: BLE001  (SDK border)
        installation = Installation()
        message = f"install() failed with {type(error).__name__}: {error}"
        installation.problems.append(CaptureError("install_failed", message))
    for problem in installation.problems:
        problems.warn(problem)
    return installation


def installed_settings() -> Settings | None:
    """Return the settings in force; `None` when nothing is installed."""
    return _state.settings


def uninstall() -> None:
    """Take everything out again: handlers, hooks, monitor. Reports stay in the spool."""
    try:
        with _state.lock:
            _remove()
    except Exception as error:  # noqa: BLE001  (SDK border)
        problems.warn(CaptureError("install_failed", f"uninstall() failed: {error}"))


def _remove() -> None:
    native.disarm()
    if _state.hooks is not None:
        _state.hooks.remove()
    _state.hooks = _state.reporter = _state.settings = _state.installation = None


def _install(given: dict[str, object]) -> Installation:
    settings, wrong = load_settings(given)
    if _state.installation is not None and _state.settings == settings and not wrong:
        return _state.installation
    installation = Installation()
    installation.problems += wrong
    if not settings.enabled:
        _remove()
        installation.is_enabled = False
        return installation
    if settings.hang_timeout is not None:
        message = "hang detection is not available in this version; hang_timeout does nothing"
        installation.problems.append(
            SettingsError("setting_without_effect", message, "leave hang_timeout out")
        )
    installation.dump_dir = _spool_dir(settings, installation.problems)
    if installation.dump_dir is None:
        _remove()
        return installation
    _arm(settings, installation, installation.dump_dir)
    _state.settings, _state.installation = settings, installation
    return installation


def _spool_dir(settings: Settings, found: list[LastwordsError]) -> str | None:
    """Return the first directory that can be used: the one asked for, the user's own."""
    fallback = default_dump_dir(settings.product)
    wanted = settings.dump_dir or fallback
    for directory in dict.fromkeys((wanted, fallback)):
        try:
            ensure_spool(directory)
        except SpoolError as error:
            found.append(error)
            continue
        if directory != wanted:
            message = f"reports go to {directory} instead of {wanted}"
            found.append(SpoolError("spool_not_usable", message, found[-1].hint))
        return directory
    message = f"no crash of {settings.product} will be reported: there is no usable spool directory"
    found.append(SpoolError("spool_not_usable", message, "give install() a writable dump_dir"))
    return None


def _arm(settings: Settings, installation: Installation, spool_dir: str) -> None:
    try:
        installation.client_id = client_id(spool_dir)
    except SpoolError as error:
        installation.problems.append(error)
        installation.client_id = new_report_id()
    reporter = PythonReporter(settings, spool_dir, installation.client_id)
    if _state.hooks is None:
        _state.hooks = Hooks(reporter)
    else:
        _state.hooks.reporter = reporter
    _state.reporter = reporter
    installation.hooks = HOOK_NAMES
    base = json_text(base_document(settings, installation.client_id))
    installation.problems += ignored_signals(settings)
    try:
        installation.monitor_pid = native.arm(settings, spool_dir, base)
        installation.is_native_armed = True
        installation.problems += push_annotations()
        push_breadcrumbs()
        installation.problems += push_additions()
    except CaptureError as error:
        installation.problems.append(error)
    _add_process_hooks()
    if not _state.has_kept_house and (has_reports(spool_dir) or has_dead_sessions(spool_dir)):
        from lastwords.sdk.housekeeping import start_housekeeping

        start_housekeeping(settings, spool_dir, installation.client_id)
        _state.has_kept_house = True


def _add_process_hooks() -> None:
    """Hear of forks and of the end; a forked child inherits what its parent has added."""
    if not _state.has_fork_hook and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
        _state.has_fork_hook = True
    if _state.exit_mark_pid is None:
        note_exits()
    if _state.exit_mark_pid != os.getpid():
        note_exit_of_worker()
        _state.exit_mark_pid = os.getpid()


def _after_fork() -> None:
    _state.lock = _thread.RLock()  # the parent's may have been held by a thread that is gone
    renew_lock()
    native.after_fork()
    if _state.reporter is not None:
        _state.reporter.after_fork()
