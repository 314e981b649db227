"""The settings that the native part is armed with, as the JSON object it reads."""

from __future__ import annotations

from lastwords.report.json_text import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.config import Settings

__all__ = ["options_json"]


def options_json(settings: Settings) -> bytes:
    """Return `{"capture": {...}, "monitor": {...}}` for `_native.arm`."""
    options = {"capture": _capture_options(settings), "monitor": _monitor_options(settings)}
    return json_text(options).encode("ascii")


def _capture_options(settings: Settings) -> dict[str, object]:
    """What the handler inside this process needs (`crates/capture/src/options.rs`)."""
    return {
        "extra_signals": list(settings.extra_signals),
        "chain_first": settings.chain_first,
        "alternate_stacks": settings.alternate_stacks,
    }


def _monitor_options(settings: Settings) -> dict[str, object]:  # noqa: ARG001  (none so far)
    """What the monitor needs; put into the shared area's configuration (`crates/monitor`)."""
    return {}
