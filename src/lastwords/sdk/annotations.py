"""Annotations: key and value pairs that go into every report of this process."""

from __future__ import annotations

from lastwords.errors import SettingsError
from lastwords.report.scrub import scrub_value
from lastwords.sdk import native, problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lastwords.errors import LastwordsError

__all__ = [
    "MAX_ANNOTATIONS",
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "annotate",
    "current_annotations",
    "push_annotations",
]

MAX_ANNOTATIONS = 256
MAX_KEY_BYTES = 120
MAX_VALUE_BYTES = 3900
_CUT_MARK = "…[cut]"

_values: dict[str, str | int | float | bool] = {}


def current_annotations() -> dict[str, str | int | float | bool]:
    """Return a copy of what is set."""
    return dict(_values)


def annotate(key: str, value: str | float | bool | None) -> None:  # noqa: FBT001  (a value)
    """Set one annotation of the next report, or remove it.

    Call it as often as the fact changes; before `install()` too. Secrets are scrubbed (by key
    and by what a value looks like) before anything is kept.

    Args:
        key: 1 to 120 bytes of UTF-8 without control characters.
        value: Text (cut at 3,900 bytes of UTF-8), an integer of at most 64 bits, a number, a
            boolean; `None` removes the annotation. NaN and infinities are kept as text.

    Never raises: what cannot be kept is warned about.
    """
    try:
        problem = _set(key, value)
    except Exception as error:  # noqa: BLE001  (SDK border)
        problem = _rejected(f"annotate() failed with {type(error).__name__}: {error}")
    if problem is not None:
        problems.warn(problem)


def _rejected(message: str) -> SettingsError:
    return SettingsError("annotation_rejected", message, "lastwords.annotate('scene', 'town.usd')")


def _set(key: object, value: object) -> LastwordsError | None:
    if not isinstance(key, str) or not key or not key.isprintable():
        return _rejected(f"the annotation key {key!r:.80} is not a printable text")
    name = str.__str__(key)
    if len(name.encode("utf-8", "replace")) > MAX_KEY_BYTES:
        return _rejected(f"the annotation key {name[:40]!r}… is longer than {MAX_KEY_BYTES} bytes")
    if value is None:
        _values.pop(name, None)
        return native.set_annotation(name, None)
    if name not in _values and len(_values) >= MAX_ANNOTATIONS:
        return _rejected(f"{MAX_ANNOTATIONS} annotations are set, {name!r} does not fit")
    plain = _plain(value)
    if plain is None:
        return _rejected(
            f"the value of annotation {name!r} is of type {type(value).__name__}, expected text, "
            "an integer of 64 bits, a number, a boolean or None"
        )
    _values[name] = kept = scrub_value(name, plain)
    return native.set_annotation(name, kept)


def _plain(value: object) -> str | int | float | bool | None:
    """Reduce subclasses to the four types that a report can hold; `None` for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        number = int(value)
        return number if -(2**63) <= number < 2**63 else None
    if isinstance(value, float):
        real = float(value)
        return real if real - real == 0 else float.__repr__(real)
    return _cut(str.__str__(value)) if isinstance(value, str) else None


def _cut(text: str) -> str:
    if len(text) * 4 <= MAX_VALUE_BYTES:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_VALUE_BYTES:
        return text
    room = MAX_VALUE_BYTES - len(_CUT_MARK.encode())
    return data[:room].decode("utf-8", "ignore") + _CUT_MARK


def push_annotations() -> list[LastwordsError]:
    """Hand all annotations to the native part, after it was armed; returns what failed."""
    failed = [native.set_annotation(key, value) for key, value in _values.items()]
    return [problem for problem in failed if problem is not None]
