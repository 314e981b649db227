"""The state of a session, and the way from a line of text to commands and their output."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from lastwords.debug.problem import Problem, missing
from lastwords.debug.registry import COMMANDS, find, near
from lastwords.debug.symbol_path import SymbolPath
from lastwords.debug.syntax import split_commands
from lastwords.debug.target import Frame, Module, Target, Thread
from lastwords.errors import LastwordsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO

    from lastwords.analyze import DumpSession

__all__ = ["Debugger"]

_MAX_LINES = 20_000
_MAX_LINE = 16_384
_MAX_SCRIPT_DEPTH = 8


class Debugger:
    """A dump, the thread and frame that are chosen, and where output goes.

    Args:
        session: The open dump.
        write: Takes one line of output, without its end.
        symbols: Where symbols are looked for.
        source_path: As the user wrote it, for `.srcpath`.
    """

    def __init__(
        self,
        session: DumpSession,
        write: Callable[[str], None],
        *,
        symbols: SymbolPath | None = None,
        source_path: str = "",
    ) -> None:
        self.target = Target(session)
        self.symbols = symbols or SymbolPath()
        self.source_path = source_path
        self.is_noisy = False
        self.are_lines_shown = True
        self.is_ended = False
        self.log: TextIO | None = None
        self.log_path: str = ""
        self.variables: dict[str, int] = {}
        self.last_dump: tuple[str, int] | None = None
        self.last_code: int | None = None
        self._write = write
        self._script_depth = 0
        requesting = self.target.about["requesting_thread"]
        self.thread = requesting if requesting is not None else 0
        self.frame_number: int | None = None
        self.is_exception_context = False
        _import_commands()

    # Output

    def emit(self, line: str) -> None:
        """Write one line to the terminal and to the log."""
        if len(line) > _MAX_LINE:
            line = f"{line[:_MAX_LINE]}... ({len(line) - _MAX_LINE} more characters)"
        self._write(line)
        if self.log is not None:
            self.log.write(line + "\n")

    @property
    def prompt(self) -> str:
        """`0:007> `."""
        return f"0:{self.thread:03d}> "

    # Running

    def run(self, line: str) -> None:
        """Run all commands of a line; what cannot be done is said, and the rest goes on."""
        for text in split_commands(line):
            if self.is_ended:
                return
            self._run_one(text)

    def _run_one(self, text: str) -> None:
        try:
            self._print(self.start(text))
        except Problem as problem:
            self.emit(str(problem))
        except LastwordsError as error:
            self.emit(f"error: {error.message}")
        except RecursionError:
            self.emit("error: nested too deep")

    def start(self, text: str) -> Iterable[str]:
        """The output of one command.

        Raises:
            Problem: There is no such command, or it cannot be done.
        """
        found = find(text)
        if found is None:
            raise Problem(_unknown(text))
        name, rest = found
        return COMMANDS[name].run(self, name, rest)

    def _print(self, lines: Iterable[str]) -> None:
        count = 0
        for line in lines:
            for part in line.split("\n"):
                if count >= _MAX_LINES:
                    self.emit(f"({_MAX_LINES} lines are shown; ask for a smaller part)")
                    return
                count += 1
                self.emit(_printable(part))

    def run_script(self, text: str) -> None:
        """Run a script: one line after the other.

        Raises:
            Problem: Scripts call each other without end.
        """
        if self._script_depth >= _MAX_SCRIPT_DEPTH:
            raise Problem(f"Scripts are nested deeper than {_MAX_SCRIPT_DEPTH}")
        self._script_depth += 1
        try:
            for line in text.splitlines():
                if self.is_ended:
                    return
                self.run(line)
        finally:
            self._script_depth -= 1

    # What is chosen

    def current_thread(self) -> Thread:
        """The chosen thread.

        Raises:
            Problem: The dump has no threads.
        """
        if not self.target.threads:
            raise Problem("The dump has no list of threads. A dump of any kind would have one.")
        return self.target.threads[self.thread]

    def choose_thread(self, index: int) -> None:
        """Choose a thread; its own registers count then.

        Raises:
            Problem: There is no such thread.
        """
        if not 0 <= index < len(self.target.threads):
            raise Problem(
                f"Illegal thread error: there are threads 0 to {len(self.target.threads) - 1}"
            )
        self.thread = index
        self.frame_number = None
        self.is_exception_context = False

    def choose_exception(self) -> None:
        """Take the registers of the exception.

        Raises:
            Problem: The dump has none.
        """
        if self.target.exception is None or self.target.exception["thread"] is None:
            raise missing("exception")
        self.thread = self.target.exception["thread"]
        self.frame_number = None
        self.is_exception_context = True

    def frames(self, thread: int | None = None) -> list[Frame]:
        """The stack of a thread: the chosen one's with the registers that are chosen.

        Raises:
            Problem: The dump has no threads.
        """
        self.current_thread()
        if thread is None or thread == self.thread:
            return self.target.stack(self.thread, own_context=not self.is_exception_context)
        return self.target.stack(thread, own_context=True)

    def frame(self) -> Frame:
        """The chosen frame; the newest native one unless told otherwise.

        Raises:
            Problem: The thread has no frames.
        """
        frames = self.frames()
        if not frames:
            raise Problem(
                f"The registers of thread {self.thread} are not in the dump. "
                "A dump that would have them: one of any kind that was not cut off."
            )
        if self.frame_number is not None and self.frame_number < len(frames):
            return frames[self.frame_number]
        return next((frame for frame in frames if frame.native is not None), frames[0])

    # Values of expressions

    @property
    def pointer_bytes(self) -> int:
        """Bytes of an address."""
        return self.target.pointer_bytes

    def register(self, name: str) -> int | None:
        """A register of the chosen frame, or a pseudo-register."""
        from lastwords.debug.registers import register_value  # noqa: PLC0415  (a circle)

        return register_value(self, name)

    def read_number(self, address: int, size: int | None = None) -> int | None:
        """A number in memory."""
        return self.target.read_number(address, size)

    def symbol(self, name: str) -> int | None:
        """The address of `mod!name`, `mod`, or a name of a module that is open."""
        module_name, bang, rest = name.partition("!")
        if bang:
            module = self.target.module_named(module_name)
            if module is None:
                return None
            return self._find(module, rest)
        module = self.target.module_named(name)
        if module is not None:
            return module.base
        own = self.frame().module if self.target.threads and self.frames() else None
        if own is not None:
            found = self._find(own, name)
            if found is not None:
                return found
        return self._find(None, name)

    def _find(self, module: Module | None, name: str) -> int | None:
        if module is not None and not name:
            return module.base
        index = None if module is None else module.index
        answer: list[dict[str, Any]] = self.target.session.ask("find", module=index, name=name)
        return answer[0]["address"] if answer else None

    # Symbols

    def look_anew(self) -> None:
        """Look for symbols again, where they are looked for."""
        self.target.reopen(self.symbols.places.all_paths, local_modules=self.symbols.local_modules)


def _unknown(text: str) -> str:
    word = text.split(None, 1)[0]
    names = near(text)
    if not names:
        heads = {name for name in COMMANDS if name[:2] == word[:2]}
        names = difflib.get_close_matches(word, sorted(heads), n=3, cutoff=0.3)
    hint = f" Near it: {', '.join(names)}." if names else ""
    kind = "No export found for extension" if word.startswith("!") else "Unknown command"
    return f"{kind} '{word}'.{hint} All commands: .help"


def _printable(text: str) -> str:
    """Text of a dump never moves the cursor or changes colours of a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "." for c in text)


def _import_commands() -> None:
    from lastwords.debug import commands  # noqa: PLC0415  (they import this module's types)

    commands.load()
