"""What a thread's stack truly is: what its script declares, checked by what its thread noted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps import Frame, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts import Script
    from steps import Version

__all__ = ["PythonFrame", "ScriptError", "Truth", "read_truth"]

_NATIVE = ("own", "inl", "lib")
_BASE = ("/victim.py", "/threading.py", "<string>")
"""Files of the frames that call a script's first function."""


class ScriptError(Exception):
    """A script does not do what it declares; nothing is said about lastwords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFrame:
    """A Python frame; what the interpreter does not know is `None`."""

    name: str
    qualname: str | None
    file: str
    line: int | None
    end_line: int | None
    column: int | None
    end_column: int | None
    has_lineless: bool
    """Whether its function has instructions that are in no line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The true stack of one thread, newest first."""

    script: Script
    thread_id: int
    python: tuple[PythonFrame, ...]
    gaps: tuple[tuple[Frame, ...], ...]
    """The native functions before each Python frame, and those behind the last."""
    addresses: tuple[int, ...]
    """Return addresses, the first of them in the function that stopped."""

    @property
    def is_exact(self) -> bool:
        """Whether there are all return addresses, not only the newest."""
        return all(step.kind.is_exact for step in self.script.whole)


def read_truth(script: Script, folder: Path, version: Version) -> Truth:
    """The truth that the thread of `script` wrote into `folder`.

    Raises:
        ScriptError: The thread's Python frames are not those that the script declares.
    """
    noted = _read(folder, script.name)
    outer = _read(folder, f"{script.name}.outer")
    python = [*noted["python"], *outer.get("python", [])]
    gaps = _Gaps(list(reversed(python)), str(folder))
    if script.thread == "native":
        gaps.gaps[0].append(Frame(word="own", text="native_thread"))
    declared = script.frames(version)
    cut = max((i for i, (_, frame) in enumerate(declared) if frame.word == "cut"), default=None)
    if cut is None:
        gaps.skip_base()
    for step, frame in declared[:cut]:
        # A greenlet's caller has frames too, but they are not linked to those of its own.
        if cut is None or frame.word in _NATIVE:
            gaps.take(script, step, frame)
    for step, frame in declared[cut + 1 :] if cut is not None else ():
        gaps.take(script, step, frame)
    gaps.finish()
    return Truth(
        script=script,
        thread_id=noted["thread_id"],
        python=tuple(_python_frame(frame) for frame in python),
        gaps=tuple(tuple(reversed(gap)) for gap in reversed(gaps.gaps)),
        addresses=tuple(noted["native"]),
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    file = folder / "truth" / f"{name}.json"
    noted = json.loads(file.read_text("utf-8")) if file.exists() else {}
    assert isinstance(noted, dict)
    return noted


def _python_frame(noted: dict[str, Any]) -> PythonFrame:
    line, end_line, column, end_column = noted["place"]
    if line != noted["line_of_frame"]:
        message = f"{noted['name']}: co_positions says {line}, f_lineno {noted['line_of_frame']}"
        raise ScriptError(message)
    return PythonFrame(
        name=noted["name"], qualname=noted["qualname"], file=noted["file"], line=line,
        end_line=end_line, column=column, end_column=end_column,
        has_lineless=noted["has_lineless"],
    )  # fmt: skip


class _Gaps:
    """Takes the noted frames, oldest first, as they are declared."""

    def __init__(self, noted: Sequence[dict[str, Any]], folder: str) -> None:
        self.gaps: list[list[Frame]] = [[]]
        self._noted = noted
        self._next = 0
        self._folder = folder

    def skip_base(self) -> None:
        while self._next < len(self._noted) and self._noted[self._next]["file"].endswith(_BASE):
            self._pass_frame()

    def take(self, script: Script, step: Step, frame: Frame) -> None:
        if frame.word in _NATIVE:
            self.gaps[-1].append(frame)
        elif frame.word == "std":
            self._take_library(step, frame)
        elif frame.word == "inner":
            self.skip_base()
        else:
            self._take_frame(step, frame, self._file(script, step, frame.word))

    def finish(self) -> None:
        if self._next != len(self._noted):
            left = [frame["name"] for frame in self._noted[self._next :]]
            raise ScriptError(f"{left} are not declared")

    def _file(self, script: Script, step: Step, word: str) -> str:
        if word == "text":
            return f"<text {step.level}>"
        return f"{self._folder}/{script.file if word == 'py' else step.module_name + '.py'}"

    def _take_frame(self, step: Step, declared: Frame, file: str) -> None:
        noted = self._noted[self._next] if self._next < len(self._noted) else None
        if noted is None or not self._is_it(noted, declared, file):
            found = noted and (noted["qualname"] or noted["name"], noted["file"])
            raise ScriptError(
                f"{step.kind.name}, level {step.level}: declares {declared.text}, noted is {found}"
            )
        self._pass_frame()

    def _is_it(self, noted: dict[str, Any], declared: Frame, file: str) -> bool:
        name = noted["qualname"] or noted["name"]
        is_named = name == (declared.text if noted["qualname"] else declared.text.split(".")[-1])
        return bool(is_named and noted["file"] == file)

    def _take_library(self, step: Step, declared: Frame) -> None:
        start = self._next
        while self._next < len(self._noted):
            file = self._noted[self._next]["file"]
            if declared.text not in file or file.startswith(self._folder):
                break
            self._pass_frame()
        if self._next == start:
            raise ScriptError(f"{step.kind.name}: no frame of {declared.text} was noted")

    def _pass_frame(self) -> None:
        self._next += 1
        self.gaps.append([])
