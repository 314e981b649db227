"""What `lastwords dump` and `lastwords run` ask of the monitor's command line."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from lastwords.dump_kinds import dump_plan, parse_kinds
from lastwords.errors import ProcessError
from lastwords.report.scrub import scrub_arguments

__all__ = ["DEFAULT_NAME", "MonitorPlan", "dump_pattern"]

DEFAULT_NAME = "PROCESSNAME_YYMMDD_HHMMSS.dmp"
"""Name of a dump when none is given; the monitor puts in what the words stand for."""
_SUFFIX = ".dmp"


def dump_pattern(target: str | None) -> str:
    """Return the absolute path, a pattern, of the dumps.

    Args:
        target: A folder (it exists, or ends with a slash) or a file name, with the words
            `PROCESSNAME`, `PID`, `EXCEPTIONCODE`, `YYMMDD`, `HHMMSS` where wanted; `.dmp` is added
            where it is missing. `None` = the default name in the current folder.
    """
    if not target:
        return str(Path.cwd() / DEFAULT_NAME)
    path = Path.cwd() / target  # not resolved: the words may stand where links are
    if target.endswith(os.sep) or path.is_dir():
        return str(path / DEFAULT_NAME)
    return str(path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorPlan:
    """One order, as a person gave it.

    Attributes:
        kinds: Kinds of dumps; empty = one mini.
        target: File or folder of the dumps; `None` = the current folder.
        is_overwriting: Whether files that are there are replaced.
        compress: Whether dumps are compressed with zstd.
        max_dump_mb: Most MB of one dump; 0 = no limit.
        min_free_mb: MB that stay free on the disk.
        python_locals: Whether dumps hold values of Python's local variables.
        arguments: What was typed, for the dump's comment.
    """

    kinds: tuple[str, ...] = ()
    target: str | None = None
    is_overwriting: bool = False
    compress: bool = False
    max_dump_mb: float = 0
    min_free_mb: float = 256
    python_locals: bool = False
    arguments: tuple[str, ...] = ()

    def to_json(self, **more: object) -> str:
        """Return the plan as the monitor reads it (`crates/monitor/src/outside.rs`).

        Args:
            more: Further keys: `process` of `dump`, an id or a name; `count`, `is_quiet`,
                `is_without_children` of `run`.

        Raises:
            ProcessError: A kind is not known (`order_invalid`).
        """
        try:
            kinds = parse_kinds(list(self.kinds) or ["mini"])
        except ValueError as error:
            message = f"the kinds of dumps are {', '.join(self.kinds)}, expected {error}"
            raise ProcessError(
                "order_invalid", message, "for example: -mm, or -mc 0x1826"
            ) from error
        plan = dump_plan(
            kinds,
            max_dump_mb=self.max_dump_mb,
            min_free_mb=self.min_free_mb,
            compress=self.compress,
            python_locals=self.python_locals,
        )
        plan |= {"file": dump_pattern(self.target), "is_overwriting": self.is_overwriting}
        plan["command"] = shlex.join(scrub_arguments(self.arguments))
        return json.dumps(plan | more)
