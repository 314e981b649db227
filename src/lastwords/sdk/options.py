"""The settings that the native part is armed with, as the JSON object it reads."""

from __future__ import annotations

from lastwords.config import Settings
from lastwords.errors import SettingsError
from lastwords.report.json_text import json_text
from lastwords.spool.session_files import new_session_path

__all__ = ["ignored_signals", "options_json"]


def options_json(settings: Settings, spool_dir: str) -> bytes:
    """Return `{"capture": {...}, "monitor": {...}}` for `_native.arm`."""
    options = {
        "capture": _capture_options(settings, spool_dir),
        "monitor": _monitor_options(settings),
    }
    return json_text(options).encode("ascii")


def ignored_signals(settings: Settings) -> list[SettingsError]:
    """Tell which of the wanted signals end nothing here, because the process ignores them."""
    if not settings.extra_signals:
        return []
    # What `signal` wraps; that one imports `enum`, which costs 3 ms. typeshed does not know it.
    import _signal  # type: ignore[import-not-found]

    found = []
    for name in settings.extra_signals:
        number = getattr(_signal, f"SIG{name}", None)
        if number is not None and _signal.getsignal(number) == _signal.SIG_IGN:
            message = f"SIG{name} is ignored by this process and will not be reported"
            hint = f"signal.signal(signal.SIG{name}, signal.SIG_DFL) before install()"
            found.append(SettingsError("setting_without_effect", message, hint))
    return found


def _capture_options(settings: Settings, spool_dir: str) -> dict[str, object]:
    """What the handler inside this process needs (`crates/capture/src/options.rs`)."""
    options: dict[str, object] = {
        "extra_signals": list(settings.extra_signals),
        "chain_first": settings.chain_first,
        "alternate_stacks": settings.alternate_stacks,
        "capture_throws": settings.capture_throws,
        "max_throws_per_s": settings.max_throws_per_s,
    }
    if settings.report_abnormal_ends:
        options["session"] = new_session_path(spool_dir)
    return options


def _monitor_options(settings: Settings) -> dict[str, object]:
    """What the monitor needs; put into the shared area's configuration (`crates/monitor`)."""
    spool: dict[str, object] = {"max_spool_bytes": int(settings.max_spool_mb * 1e6)}
    if _has_default_plan(settings):
        return spool  # the monitor's own plan, without an import here
    from lastwords.dump_kinds import dump_plan

    return spool | dump_plan(
        settings.dump_kinds,
        max_dump_mb=settings.max_dump_mb,
        min_free_mb=settings.min_free_mb,
        compress=settings.compress_dumps,
        python_locals=settings.python_locals,
    )


def _has_default_plan(settings: Settings) -> bool:
    defaults = Settings()
    keys = ("dump_kinds", "max_dump_mb", "min_free_mb", "compress_dumps", "python_locals")
    return all(getattr(settings, key) == getattr(defaults, key) for key in keys)
