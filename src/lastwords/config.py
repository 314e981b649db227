"""Every setting of the SDK: key, environment variable, default, unit, meaning.

One table (`SETTINGS`) is the only place where a setting is declared; `docs/reference/settings.md`
is generated from it by `settings_reference()`. An environment variable beats the argument given in
code, so that whoever runs a program has the last word about it. A wrong value never stops an
application: `load_settings()` takes the default and says what was wrong.

Imported by `install()`, so nothing here may import more than `os` (dataclasses cost 18 ms in a
bare interpreter, `typing` 11 ms).
"""

from __future__ import annotations

import os

from lastwords.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CONSENT_CHOICES",
    "EXTRA_SIGNALS",
    "SETTINGS",
    "Setting",
    "Settings",
    "cache_dir",
    "config_dir",
    "default_dump_dir",
    "load_settings",
    "settings_reference",
    "state_dir",
]

EXTRA_SIGNALS = ("QUIT", "XCPU", "XFSZ")
"""Signals that are reported on request."""

CONSENT_CHOICES = ("ask", "always", "never")
"""What a person can have decided about sending reports."""

_MAX_TEXT = 4096


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if len(value) > _MAX_TEXT or any(_is_unwritable(ord(char)) for char in value):
        raise ValueError(f"at most {_MAX_TEXT} characters without control characters")
    return str.__str__(value)


def _is_unwritable(code: int) -> bool:
    """Control characters, and half surrogate pairs, which no UTF-8 text can hold."""
    return code < 0x20 or code == 0x7F or 0xD800 <= code <= 0xDFFF


def _url(value: object) -> str:
    text = _text(value)
    if not text.startswith(("http://", "https://")) or any(char.isspace() for char in text):
        raise ValueError("an address like https://crashes.example.com/submit")
    return text


def _path(value: object) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("a path")  # noqa: TRY004  (every parser answers with ValueError)
    text = os.fspath(value)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError("a path that is not empty")
    return os.path.abspath(os.path.expanduser(text))


def _paths(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(os.pathsep) if part]
    elif isinstance(value, os.PathLike):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ValueError("a list of paths")  # noqa: TRY004
    return tuple(_path(item) for item in value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("1", "true", "yes", "on"):
        return True
    if isinstance(value, str) and value.strip().lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("true or false (in the environment 1 or 0)")


def _number(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError  # noqa: TRY301, TRY004
            number = float(value)
        except (ValueError, OverflowError):
            number = float("nan")
        if not low <= number <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return number

    return parse


def _count(low: int, high: int) -> Callable[[object], int]:
    parse_number = _number(low, high)

    def parse(value: object) -> int:
        number = parse_number(value)
        if number != int(number):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(number)

    return parse


def _choice(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return value.strip().lower()

    return parse


def _extra_signals(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise ValueError("a list of signal names")
    names = tuple(dict.fromkeys(name.strip().upper().removeprefix("SIG") for name in value))
    if not set(names) <= set(EXTRA_SIGNALS):
        raise ValueError("names among " + ", ".join(EXTRA_SIGNALS))
    return names


def _dump_kinds(value: object) -> tuple[str, ...]:
    if value == "mini":
        return ("mini",)
    from lastwords.dump_kinds import parse_kinds

    return parse_kinds(value)


class Setting:
    """One row of the settings table.

    Args:
        key: Name of the keyword argument of `install()`.
        parse: Turns a value into its checked form; raises `ValueError` whose text says what
            was expected.
        default: Value when nothing usable was given.
        unit: Unit of the value; empty when it has none.
        meaning: One or two sentences for the reference.
    """

    __slots__ = ("default", "key", "meaning", "parse", "unit")

    def __init__(
        self,
        key: str,
        parse: Callable[[object], object],
        default: object,
        unit: str,
        meaning: str,
    ) -> None:
        self.key = key
        self.parse = parse
        self.default = default
        self.unit = unit
        self.meaning = meaning

    @property
    def env_name(self) -> str:
        """Environment variable that beats the argument."""
        return "LASTWORDS_" + self.key.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("product", _text, "unknown", "", "Name of the application. Reports are grouped by it."),
    Setting("version", _text, "unknown", "", "Version of the application, as its users know it."),
    Setting("url", _url, None, "", "Where reports are sent. Without it they stay on this machine."),
    Setting(
        "dump_dir", _path, None, "",
        "The spool directory. Made when missing (mode 0700). Default: "
        "`$XDG_STATE_HOME/lastwords/PRODUCT`; `~/.local/state` stands in for an unset variable.",
    ),
    Setting("enabled", _flag, True, "", "`0`: no hook, no handler, no monitor."),  # noqa: FBT003
    Setting(
        "hang_timeout", _number(0.1, 86_400), None, "seconds",
        "Accepted and checked, but hang detection is not available in this version: "
        "`install()` warns when it is set.",
    ),
    Setting(
        "attachments", _paths, (), "",
        "Files, such as logs, whose last MiB goes into every report. In the environment separated "
        "like `PATH`.",
    ),
    Setting(
        "consent", _choice(*CONSENT_CHOICES), None, "",
        "`ask`, `always` or `never`. Stands in for the stored decision of the user, except that a "
        "stored `never` always counts. Unset: the stored decision, or `ask`.",
    ),
    Setting(
        "budget_s", _number(0.1, 120), 10.0, "seconds",
        "How long a crashing process may be kept waiting for its dump.",
    ),
    Setting("quiet", _flag, False, "", "Nothing is written to stderr when a crash is reported."),  # noqa: FBT003
    Setting(
        "extra_signals", _extra_signals, (), "",
        "Signals that are reported besides the faults: any of `QUIT`, `XCPU`, `XFSZ`, with or "
        "without `SIG`, separated by commas. They still end the process as they would without.",
    ),
    Setting(
        "alternate_stacks", _flag, True, "",  # noqa: FBT003
        "Every thread gets an alternate signal stack, so that its stack overflow is reported. "
        "`0`: only the thread that calls `install()`.",
    ),
    Setting(
        "capture_throws", _flag, True, "",  # noqa: FBT003
        "The stacks of the last C++ exceptions (and Rust panics) of each thread are recorded where "
        "they are thrown.",
    ),
    Setting(
        "max_throws_per_s", _count(0, 2**31 - 1), 50_000, "throws/s",
        "Up to this rate every throw of the process is recorded, above it one of several. `0`: no "
        "limit.",
    ),
    Setting(
        "chain_first", _choice("auto", "always", "never"), "auto", "",
        "Whether the signal handler that was there before goes first, and its repair of a fault "
        "means that there was no crash: `always`, `never`, or `auto`, which is `always` "
        "where a runtime that faults on purpose was there before (JVM, .NET, Mono, Julia, Go).",
    ),
    Setting(
        "dump_kinds", _dump_kinds, ("mini",), "",
        "What is dumped of a crash, one file each: `mini`, `triage`, `full`, `miniplus`, "
        "`custom:FLAGS`, `callback:LIBRARY`, `kernel` (docs/formats/dump-kinds.md). In the "
        "environment separated by semicolons.",
    ),
    Setting(
        "max_dump_mb", _number(0, 1_000_000_000), 0.0, "MB",
        "Most that one dump may take; what is left out is told. `0`: no limit.",
    ),
    Setting(
        "min_free_mb", _number(0, 1_000_000_000), 256.0, "MB",
        "What a dump leaves free on the disk.",
    ),
    Setting("compress_dumps", _flag, False, "", "Dumps are compressed with zstd (`.dmp.zst`)."),  # noqa: FBT003
    Setting(
        "python_locals", _flag, False, "",  # noqa: FBT003
        "Dumps hold the values of Python's local variables (docs/formats/python-details.md): "
        "short, of built-in types only, without those whose names say that they are secrets. Not "
        "`triage` dumps.",
    ),
    Setting(
        "report_abnormal_ends", _flag, True, "",  # noqa: FBT003
        "Ends without a crash are reported too: SIGKILL, the kernel's out-of-memory killer, "
        "`os._exit()`, other deadly signals, power loss. Not the ones that were asked for.",
    ),
    Setting(
        "retry_count", _count(1, 1000), 10, "attempts",
        "Failed deliveries after which a report is no longer tried by itself. It is kept in "
        "`completed/`, marked `given_up`; `lastwords send REPORT_ID` tries again.",
    ),
    Setting(
        "connect_timeout_s", _number(0.1, 600), 10.0, "seconds",
        "How long to wait for a connection to the server.",
    ),
    Setting(
        "idle_timeout_s", _number(0.1, 3600), 30.0, "seconds",
        "How long a connection may stand still before the delivery counts as failed.",
    ),
    Setting(
        "max_spool_mb", _number(1, 1_000_000), 500.0, "MB",
        "Size of the spool above which the oldest reports are removed: delivered ones first, "
        "undelivered ones last, and those are counted.",
    ),
    Setting(
        "keep_days", _number(0, 36_500), 30.0, "days",
        "How long delivered reports stay in `completed/`.",
    ),
    Setting(
        "max_reports", _count(1, 100_000), 20, "reports",
        "Reports of Python exceptions that one process may write, so that a thread failing in a "
        "loop does not fill the disk. A native crash or the exception that ends the program "
        "is always reported.",
    ),
    Setting(
        "skip_old_reports", _flag, False, "",  # noqa: FBT003
        "`install()` does not deliver what earlier runs left behind; `lastwords send` still does.",
    ),
)  # fmt: skip
"""The table. Adding a row adds the keyword, the environment variable and the documentation."""


class Settings:
    """Checked settings; an attribute for each row of `SETTINGS`."""

    product: str
    version: str
    url: str | None
    dump_dir: str | None
    enabled: bool
    hang_timeout: float | None
    attachments: tuple[str, ...]
    consent: str | None
    budget_s: float
    quiet: bool
    extra_signals: tuple[str, ...]
    alternate_stacks: bool
    capture_throws: bool
    max_throws_per_s: int
    chain_first: str
    dump_kinds: tuple[str, ...]
    max_dump_mb: float
    min_free_mb: float
    compress_dumps: bool
    python_locals: bool
    report_abnormal_ends: bool
    retry_count: int
    connect_timeout_s: float
    idle_timeout_s: float
    max_spool_mb: float
    keep_days: float
    max_reports: int
    skip_old_reports: bool

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        given = values or {}
        for setting in SETTINGS:
            self.__dict__[setting.key] = given.get(setting.key, setting.default)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings do not change after install(); {name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.items()))

    def __repr__(self) -> str:
        return "Settings(" + ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items()) + ")"

    def replaced(self, **changes: object) -> Settings:
        """These settings with some values changed; the values are not checked again."""
        return Settings({**self.__dict__, **changes})


def load_settings(
    given: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> tuple[Settings, list[SettingsError]]:
    """Check what was given and add what the environment says.

    Args:
        given: Keyword arguments; `None` means not given.
        environ: Environment variables; `os.environ` when `None`.

    Returns:
        The settings, and one error (not raised) for each wrong or unknown one, whose default
        is used instead.
    """
    environment = os.environ if environ is None else environ
    values: dict[str, object] = {}
    problems = _unknown_settings(given)
    for setting in SETTINGS:
        sources = (
            (f"environment variable {setting.env_name}", environment.get(setting.env_name)),
            (f"setting {setting.key!r}", given.get(setting.key)),
        )
        for source, value in sources:
            if value is None or (value == "" and source.startswith("environment")):
                continue
            try:
                values[setting.key] = setting.parse(value)
                break
            except Exception as error:  # noqa: BLE001  (foreign __str__, __fspath__ may raise)
                problems.append(_wrong_value(setting, source, value, error))
    return Settings(values), problems


def _wrong_value(setting: Setting, source: str, value: object, error: Exception) -> SettingsError:
    try:
        shown = repr(value)[:80]
    except Exception:  # noqa: BLE001
        shown = f"a {type(value).__name__}"
    expected = error if isinstance(error, ValueError) else "a usable value"
    default = "no value" if setting.default is None else f"the default {setting.default!r}"
    return SettingsError(
        "setting_wrong_value",
        f"{source} is {shown}, expected {expected}; {default} is used instead",
        f"correct {setting.key}; docs/reference/settings.md lists every setting",
    )


def _unknown_settings(given: Mapping[str, object]) -> list[SettingsError]:
    known = {setting.key for setting in SETTINGS}
    problems = []
    for key in given:
        if key in known:
            continue
        import difflib

        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "known settings: " + ", ".join(sorted(known))
        problems.append(
            SettingsError("setting_unknown", f"there is no setting {key!r}; it is ignored", hint)
        )
    return problems


def _base_dir(variable: str, fallback: str, environ: Mapping[str, str] | None) -> str:
    value = (os.environ if environ is None else environ).get(variable, "")
    # The XDG base directory specification: relative paths are invalid and to be ignored.
    # A relative HOME means the current directory of now, whatever the program does afterwards.
    home = os.path.expanduser("~")
    root = value if os.path.isabs(value) else os.path.abspath(os.path.join(home, fallback))
    return os.path.join(root, "lastwords")


def state_dir(environ: Mapping[str, str] | None = None) -> str:
    """Directory that holds the spools of all products of this user (XDG base directories)."""
    return _base_dir("XDG_STATE_HOME", os.path.join(".local", "state"), environ)


def config_dir(environ: Mapping[str, str] | None = None) -> str:
    """Directory that holds the user's decisions, such as consent (XDG base directories)."""
    return _base_dir("XDG_CONFIG_HOME", ".config", environ)


def cache_dir(environ: Mapping[str, str] | None = None) -> str:
    """Directory that holds what can be had again (XDG base directories)."""
    return _base_dir("XDG_CACHE_HOME", ".cache", environ)


def default_dump_dir(product: str, environ: Mapping[str, str] | None = None) -> str:
    """Spool directory of a product that was not told one."""
    kept = "".join(char if char.isalnum() or char in "-_." else "_" for char in product)
    return os.path.join(state_dir(environ), kept.lstrip(".")[:80] or "unknown")


def settings_reference() -> str:
    """The text of `docs/reference/settings.md`."""
    lines = [
        "# Settings of the SDK",
        "",
        "Generated from `lastwords.config.SETTINGS`; a test keeps it true. Each setting is a",
        "keyword argument of `lastwords.install()`; its environment variable beats the argument.",
        "",
        "| setting | environment variable | default | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = setting.default
        default = ", ".join(default) if isinstance(default, tuple) else default
        default = "none" if default in (None, "") else f"`{default}`"
        lines.append(
            f"| `{setting.key}` | `{setting.env_name}` | {default} | {setting.unit or 'none'} "
            f"| {setting.meaning} |"
        )
    lines += [
        "",
        "`LASTWORDS_MONITOR` names the `lastwords-monitor` executable when it is not in the",
        "package, next to the interpreter or in the interpreter's scripts directory.",
        "",
    ]
    return "\n".join(lines)
