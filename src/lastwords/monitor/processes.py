"""Which process a person means: by its id, or by a name that only one of them has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lastwords.errors import ProcessError

__all__ = ["RunningProcess", "find_process", "running_processes"]

_PROC = Path("/proc")
_MOST_LISTED = 10
_INTERPRETERS = ("python", "pypy", "node", "ruby", "perl", "bash", "sh", "dash")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """A process, and what it is called by people.

    Attributes:
        pid: Its id.
        names: File name of its program, its own name for itself, the script it interprets.
        command: Its command line in one line.
    """

    pid: int
    names: frozenset[str]
    command: str


def find_process(target: str) -> int:
    """Return the id of the process that `target` means.

    Args:
        target: A process id, or a name: of the program's file, of the process, of its script.

    Raises:
        ProcessError: There is none (`process_not_found`), or several have that name
            (`process_ambiguous`).
    """
    if target.isascii() and target.isdigit():
        return int(target)
    found = [process for process in running_processes() if target in process.names]
    if len(found) == 1:
        return found[0].pid
    if not found:
        message = f"there is no process named {target}"
        raise ProcessError("process_not_found", message, "see which there are: ps -e")
    lines = [f"{process.pid:>8}  {process.command[:100]}" for process in found[:_MOST_LISTED]]
    if len(found) > _MOST_LISTED:
        lines.append(f"     and {len(found) - _MOST_LISTED} more")
    message = "\n".join([f"{len(found)} processes are named {target}:", *lines])
    hint = f"name one by its id: lastwords dump {found[-1].pid}"
    raise ProcessError("process_ambiguous", message, hint)


def running_processes() -> list[RunningProcess]:
    """Return the processes that can be meant: all but this one and the ones it was started by."""
    own = _ancestors(os.getpid())
    pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    processes = (_process(pid) for pid in pids if pid not in own)
    return [process for process in processes if process is not None]


def _ancestors(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1 and pid not in found:
        found.add(pid)
        stat = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
        pid = int(stat[1]) if len(stat) > 1 else 0
    return found


def _process(pid: int) -> RunningProcess | None:
    folder = _PROC / str(pid)
    own_name = _read(folder / "comm").removesuffix("\n")
    if not own_name:
        return None  # it has ended
    arguments = [part for part in _read(folder / "cmdline").split("\0") if part]
    try:
        program = (folder / "exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        program = ""
    names = {own_name, program}
    if arguments:
        called = _file_name(arguments[0])
        names.add(called)
        if called.startswith(_INTERPRETERS):
            scripts = [part for part in arguments[1:] if not part.startswith("-")]
            names |= {_file_name(script) for script in scripts[:1]}
    command = " ".join(arguments) or f"[{own_name}]"
    return RunningProcess(pid=pid, names=frozenset(names - {""}), command=command)


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
