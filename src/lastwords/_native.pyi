"""The Rust core as seen from Python (crates/py). Checked against the binary by stubtest."""

from collections.abc import Sequence
from typing import final

__all__ = [
    "CoreError",
    "Session",
    "add_breadcrumb",
    "after_fork_in_child",
    "analyze_dump",
    "arm",
    "convert_file",
    "core_version",
    "crash_file_kind",
    "disarm",
    "dump",
    "error_codes",
    "find_symbols",
    "identify_symbol_files",
    "is_armed",
    "lookup_addresses",
    "monitor_pid",
    "note_exit",
    "set_additions",
    "set_annotation",
    "set_throw_note",
    "source_checksums",
    "source_servers",
    "unpack_zstd",
    "write_sym",
]

@final
class CoreError(Exception):
    """Raised by the core. `args` = (code, message, hint or None); codes as in `error_codes()`."""

def core_version() -> str:
    """Version of the Rust core, the same as the package's."""

def error_codes() -> list[str]:
    """Every code that `CoreError` can carry; `lastwords.errors.CODES` lists them all."""

def analyze_dump(path: str, options: bytes) -> bytes:
    """Analyse a minidump file.

    Args:
        path: The file.
        options: JSON, see docs/formats/analysis.md: `{"symbols": [...], "local_modules": bool}`.

    Returns:
        The analysis as one UTF-8 JSON document (docs/formats/analysis.md).

    Releases the GIL. Raises `CoreError`.
    """

def identify_symbol_files(paths: Sequence[str]) -> bytes:
    """Read kind and ids of files.

    Returns:
        JSON: for each file null, or `{"path", "kind", "is_packed", "debug_ids", "build_id",
        "stamp", "names", "pdb_name", "architecture", "has_code", "has_debug_info"}`.

    Releases the GIL.
    """

def find_symbols(search: bytes) -> bytes:
    """Look for the symbols of modules; opens files.

    Args:
        search: JSON: `{"symbols": [...], "local_modules": bool, "modules": [{"code_file",
            "debug_file", "code_id", "debug_id"}]}`.

    Returns:
        JSON: `{"modules": [{"status", "kind", "path", "reason", "images"}], "problems": [{"path",
        "message"}]}`, the modules in the order given.

    Releases the GIL. Raises `ValueError` when `search` is something else.
    """

def lookup_addresses(path: str, addresses: Sequence[int], is_relative: bool) -> bytes:
    """Look addresses up in a symbol file.

    Args:
        path: ELF, PE, PDB, Mach-O or `.sym`.
        addresses: As the file counts, or from 0.
        is_relative: Whether they count from 0.

    Returns:
        JSON: `{"file", "base", "status", "lookups": [{"address", "function_start", "frames":
        [{"function", "file", "line", "is_inline"}]}]}`.

    Releases the GIL. Raises `CoreError`: `symbol_file_not_readable`, `symbol_file_unusable`.
    """

def source_checksums(path: str, files: Sequence[str]) -> bytes:
    """Read the checksums of source files out of a module's debug information.

    Args:
        path: ELF, PE, PDB or Mach-O.
        files: As lookups name them.

    Returns:
        JSON: file → "md5:…", "sha1:…" or "sha256:…"; files without one are left out.

    Releases the GIL. Raises `CoreError`: `symbol_file_not_readable`, `symbol_file_unusable`.
    """

def source_servers(path: str) -> bytes:
    """Read where the sources of a module can be had from.

    Args:
        path: ELF, PE, PDB or Mach-O; only PDBs tell.

    Returns:
        JSON: `{"links": [Source Link's JSON as text], "servers": [text of a source server]}`.

    Releases the GIL. Raises `CoreError`: `symbol_file_not_readable`, `symbol_file_unusable`.
    """

def write_sym(path: str, out: str, name: str | None) -> bytes:
    """Write what a symbol file says as a Breakpad `.sym` file.

    Args:
        path: ELF, PE, PDB or Mach-O.
        out: The file to write, replaced if it is there.
        name: Of the debug file, in the `MODULE` record; `None` = the file's own.

    Returns:
        JSON: what the records `MODULE` and `INFO CODE_ID` say, and how many others there are.

    Releases the GIL. Raises `CoreError`: `symbol_file_not_readable`, `symbol_file_unusable`,
    `symbols_not_written`.
    """

def crash_file_kind(path: str) -> str:
    """Tell what a file is: "minidump", "core" or "microdump".

    Raises `CoreError`: `dump_not_found`, `dump_not_readable`, `convert_unsupported`.
    """

def unpack_zstd(source: str, target: str, most: int) -> int:
    """Unpack a zstd file into another.

    Args:
        source: The packed file.
        target: The file to write, replaced if it is there.
        most: Bytes that may come out. A file that holds more leaves as many in `target`.

    Returns:
        Bytes written.

    Releases the GIL. Raises `OSError`: what is wrong, also that more would come out.
    """

def convert_file(source: str, target: str, kind: str, dump_kind: str) -> bytes:
    """Convert a minidump into an ELF core, or a core or microdump into a minidump.

    Args:
        source: What is converted.
        target: The file to write, replaced if it is there.
        kind: Of the source, as `crash_file_kind()` tells.
        dump_kind: Of a minidump made of a core: "full", "mini", "custom:FLAGS".

    Returns:
        JSON: `{"threads", "memory_bytes", "notes"}`.

    Releases the GIL. Raises `CoreError`: `dump_not_found`, `dump_not_readable`, `dump_malformed`,
    `convert_unsupported`, `convert_failed`.
    """

@final
class Session:
    """A dump that is open, to be asked many times; requests of several threads take turns."""

    def __new__(cls, path: str, options: bytes) -> Session:
        """Open a minidump file.

        Args:
            path: The file.
            options: As for `analyze_dump`.

        Releases the GIL. Raises `CoreError`.
        """

    def ask(self, request: bytes) -> bytes:
        """Answer one request.

        Args:
            request: A JSON object whose key `ask` names it; crates/analyze/src/session/request.rs
                lists them.

        Returns:
            The answer as UTF-8 JSON. What the dump does not hold is null or left out.

        Releases the GIL. Raises `CoreError`: `request_invalid` for what is no request.
        """

def arm(
    *,
    monitor_path: str,
    spool_dir: str,
    report_base: bytes,
    attachments: Sequence[str],
    budget_ms: int,
    is_quiet: bool,
    options: bytes,
) -> int:
    """Start the monitor process and install the signal handlers; returns the monitor's pid.

    Args:
        monitor_path: The `lastwords-monitor` executable.
        spool_dir: An existing, writable spool directory (it holds `new/` and `pending/`).
        report_base: UTF-8 JSON object that the monitor completes into `report.json`.
        attachments: Files whose last MiB is copied into the report; missing ones are soft errors.
        budget_ms: Hard limit of the time that the crashing process waits for its dump.
        is_quiet: Write nothing to stderr when the process crashes.
        options: Further settings, UTF-8 JSON: `{"capture": {...}, "monitor": {...}}`. The capture's
            are `extra_signals`, `chain_first`, `alternate_stacks`, `capture_throws` and
            `max_throws_per_s`, as in docs/reference/settings.md, and `session`, the session file to
            make; the monitor's go into the shared area as they stand (docs/formats/shared-area.md).

    Arming again replaces the settings and keeps the monitor. Raises `CoreError`.
    """

def disarm() -> None:
    """Restore the previous signal handlers and end the monitor; does nothing when not armed."""

def is_armed() -> bool:
    """Whether the signal handlers are installed."""

def monitor_pid() -> int | None:
    """Process id of the monitor; `None` when not armed."""

def set_annotation(key: str, value: str | None, kind: str) -> None:
    """Set one annotation of the next report, or remove it (`value` is `None`).

    Args:
        key: At most 120 bytes of UTF-8.
        value: At most 3,900 bytes of UTF-8; longer text is cut at a character and marked.
        kind: How to read `value`: "string", "int", "float" or "bool" ("true" / "false").

    Costs one copy into shared memory. Raises `CoreError` when 256 annotations are set.
    """

def dump(order: bytes, budget_ms: int) -> bytes:
    """Have a dump of this process made, by a monitor of its own; the process runs on.

    Args:
        order: JSON: `dumps`, `limits`, `reason`, `file` (crates/monitor/src/order.rs).
        budget_ms: Hard limit of the time that the calling thread waits.

    Returns:
        JSON: `path`, `dumps`, `line`, `error`.

    Releases the GIL; the other threads stand still for a moment. Raises `CoreError`: `not_armed`,
    `order_too_long`, `dump_not_made`, `capture_no_memory`.
    """

def add_breadcrumb(time_ns: int, message: str, category: str, level: str, data: str) -> None:
    """Keep what happened for the next report: the last hundred breadcrumbs.

    Args:
        time_ns: When, in nanoseconds since 1970-01-01 UTC.
        message: At most 512 bytes of UTF-8; longer text is cut at a character and marked.
        category: At most 64 bytes; empty = none.
        level: "debug", "info", "warning", "error" or "fatal".
        data: A JSON object of at most 416 bytes, longer ones are left out; empty = none.

    Costs one copy into shared memory. Raises `CoreError` when there is no memory for it.
    """

def set_additions(memory: Sequence[tuple[int, int]], streams: Sequence[tuple[int, bytes]]) -> None:
    """Replace what every dump of this process holds besides.

    Args:
        memory: Address and bytes of ranges; at most 64, and 64 MiB.
        streams: Type and content; at most 16, and 65,536 bytes.

    Costs one copy into shared memory. Raises `CoreError` (`addition_rejected`) beyond the limits.
    """

def note_exit() -> None:
    """Note that the interpreter finalises: whatever exit status follows was chosen.

    Removes the session file. Does nothing in a forked child, or when not armed.
    """

def set_throw_note(note_type: type[str]) -> None:
    """Attach notes of this type to Python exceptions that C++ exceptions have become.

    Once, before `arm()`; later calls change nothing. Each note gets an attribute `throw`:
    `{"type", "what", "frames"}`.
    """

def after_fork_in_child() -> None:
    """Detach a forked child from its parent's annotations and monitor.

    It gets a monitor of its own when it crashes.
    """
