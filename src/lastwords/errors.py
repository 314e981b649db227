"""The exception tree, and the list of stable error codes.

```
LastwordsError(code, message, hint)
├── SettingsError      a setting has a wrong value
├── DumpError          a dump file cannot be read (exit status 3)
├── SymbolsError       a symbol source cannot be used
├── SpoolError         the reports on this disk cannot be read or written
├── DeliveryError      a report could not be sent
├── CaptureError       the signal handler or the monitor could not be started
├── ProcessError       a process cannot be dumped or watched
├── StoreError         the server's database or files cannot be used
├── ServerError        a lastwords server that was asked did not answer as expected
├── ConvertError       a file cannot be converted into another kind
└── DependencyError    a program, package or permission is missing (exit status 4)
```

A message says what, where (path, offset, thread, module) and what was expected; the hint is
something to type or to change. Codes are stable: programs may match on them.
"""

from __future__ import annotations

__all__ = [
    "CODES",
    "CaptureError",
    "ConvertError",
    "DeliveryError",
    "DependencyError",
    "DumpError",
    "LastwordsError",
    "LastwordsWarning",
    "ProcessError",
    "ServerError",
    "SettingsError",
    "SpoolError",
    "StoreError",
    "SymbolsError",
]


class LastwordsError(Exception):
    """Base of all errors that lastwords raises.

    Args:
        code: One of `CODES`.
        message: What, where, what was expected.
        hint: What to do next; `None` if there is nothing to do.
    """

    exit_status = 1

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        if code not in CODES:
            raise ValueError(f"error code {code!r} is not listed in lastwords.errors.CODES")
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class LastwordsWarning(UserWarning):
    """Category of what the SDK says to the developer; it never raises into the application."""


class SettingsError(LastwordsError):
    """A setting has a wrong value."""

    exit_status = 2


class DumpError(LastwordsError):
    """A dump file cannot be read."""

    exit_status = 3


class SymbolsError(LastwordsError):
    """A symbol source or file cannot be used."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(code, message, hint)
        self.exit_status = _SYMBOLS_STATUS.get(code, 1)


_SYMBOLS_STATUS = {
    "symbols_bad_source": 2,
    "symbols_insecure_url": 2,
    "symbols_no_servers": 2,
    "module_id_invalid": 2,
    "symbol_file_not_readable": 3,
    "symbol_file_unusable": 3,
}


class ConvertError(LastwordsError):
    """A file cannot be converted into another kind."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(code, message, hint)
        self.exit_status = 3 if code == "convert_unsupported" else 1


class SpoolError(LastwordsError):
    """The reports on this disk cannot be read or written."""


class DeliveryError(LastwordsError):
    """A report could not be sent."""


class CaptureError(LastwordsError):
    """The signal handler or the monitor could not be started."""


class ProcessError(LastwordsError):
    """A process cannot be dumped or watched."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(code, message, hint)
        self.exit_status = _PROCESS_STATUS.get(code, 1)


_PROCESS_STATUS = {
    "order_invalid": 2,
    "process_ambiguous": 2,
    "process_not_found": 3,
    "process_not_dumpable": 3,
}


class StoreError(LastwordsError):
    """The server's database or files cannot be used."""


class ServerError(LastwordsError):
    """A lastwords server that was asked did not answer as expected."""


class DependencyError(LastwordsError):
    """A program, package or permission is missing."""

    exit_status = 4


CODES: dict[str, str] = {
    "dump_not_found": "there is no file at the given path",
    "dump_not_readable": "the file exists but may not be read, or is not a regular file",
    "dump_empty": "the file holds no bytes",
    "dump_not_a_minidump": "the file does not start with a minidump's signature",
    "dump_malformed": "the file starts like a minidump but no stream of it can be used",
    "options_invalid": "the options of an analysis are not what docs/formats/analysis.md says",
    "request_invalid": "an open dump was asked for what it does not know, or not in a known way",
    "analysis_malformed": "an analysis document does not have the shape of one",
    "analysis_timed_out": "the analysis of one of many dumps took longer than allowed",
    "analysis_died": "the process that analysed one of many dumps died of it",
    "symbols_not_found": "a symbol source that was given is not there",
    "symbols_bad_source": "a symbol source is in no form that is known",
    "symbols_insecure_url": "symbols would be downloaded without TLS from another machine",
    "symbols_cache_not_usable": "the folder for downloaded symbols cannot be made or written",
    "symbols_not_written": "a symbol file could not be written",
    "symbols_no_servers": "symbols should be downloaded and no address to ask was given",
    "symbol_file_not_readable": "a symbol file is not there or may not be read",
    "symbol_file_unusable": "a file holds no symbols, no id, or is damaged",
    "module_id_invalid": "the text is neither a dump nor a module's id",
    "convert_unsupported": "a file cannot be converted into the wanted kind",
    "convert_failed": "a converted file could not be made",
    "setting_unknown": "a setting was given that does not exist",
    "setting_wrong_value": "a setting has a value of the wrong type or outside its range",
    "setting_without_effect": "the setting is known but does nothing in this version",
    "annotation_rejected": "an annotation's key or value cannot be stored",
    "addition_rejected": "memory or a stream that on_dump() adds to dumps cannot be kept",
    "on_dump_failed": "the function given to on_dump() raised, took too long or is none",
    "install_failed": "install() failed in a way it has no name for: a defect, please report it",
    "capture_core_missing": "the compiled core of the package cannot be loaded",
    "capture_monitor_missing": "the monitor's executable was not found",
    "capture_not_armed": "the monitor or the signal handlers could not be started",
    "capture_no_memory": "the memory that the signal handler and the monitor share cannot be had",
    "monitor_not_found": "there is no executable where the monitor should be",
    "front_end_missing": "the executable `lastwords` is not where the monitor's is",
    "monitor_not_started": "the monitor's executable is there and cannot be started",
    "settings_too_long": "what the monitor has to know is longer than the shared memory",
    "annotations_full": "so many annotations are set that there is no place for another one",
    "not_armed": "a dump was asked for in a process that lastwords.install() has not armed",
    "order_invalid": "what was asked to be dumped is not understood",
    "order_too_long": "what was asked to be dumped takes more than 16 KiB of text",
    "dump_not_made": "the monitor that should make a dump on demand did not start or was not done",
    "dump_not_written": "no file of a dump could be written",
    "process_not_found": "there is no process with that id or name",
    "process_ambiguous": "several processes have that name",
    "process_not_dumpable": "the process has ended, or is of a kind that cannot be dumped",
    "process_not_traceable": "the system does not let us look at the process",
    "command_not_found": "there is no command of that name to run",
    "command_not_executable": "the command that should be run is no program",
    "command_not_started": "the system could not start another process",
    "spool_not_usable": "the spool directory cannot be made, read or written",
    "spool_no_space": "a report could not be written completely: disk full or over its quota",
    "spool_bad_report_id": "the text is not a report id",
    "spool_report_not_found": "the spool holds no report with that id",
    "spool_report_busy": "another process is working on that report",
    "consent_not_stored": "the consent setting cannot be read or written",
    "delivery_bad_url": "the address to send to is not an http or https address",
    "delivery_failed": "the report was not accepted this time; it stays pending",
    "demo_victim_missing": "the demo needs the sample application, which is not installed",
    "demo_server_failed": "the demo's server did not start",
    "demo_step_failed": "the demo went another way than it should",
    "core_failed": "the Rust core failed in a way it has no name for: a defect, please report it",
    "store_not_usable": "the server's data folder or database cannot be opened or written",
    "store_newer_schema": "the database was written by a newer lastwords",
    "store_in_use": "another server owns the data folder",
    "blob_missing": "a stored file is not there or cannot be read",
    "blob_damaged": "a stored file does not have the hash that names it",
    "report_unknown": "the server has no report with this id",
    "issue_unknown": "the server has no issue with this number",
    "issue_status_not_allowed": "an issue in this state cannot be changed to the wanted one",
    "server_unreachable": "no server answered at the given address",
    "server_answer_unusable": "a server answered, but not as a lastwords server does",
    "document_malformed": "the file is neither a minidump nor a JSON document that we know",
    "port_in_use": "the port that the server should listen on is taken",
    "address_not_usable": "the server cannot listen on the given address",
    "extra_missing": "a package of an optional part of lastwords is not installed",
}
"""Every stable code and what it means; each has a test."""
