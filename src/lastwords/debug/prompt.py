"""The prompt of `lastwords debug`: history, completion, Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.debug.registry import COMMANDS
from lastwords.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent, Completion
    from prompt_toolkit.document import Document

    from lastwords.debug.debugger import Debugger

__all__ = ["reader", "words_for"]

_MAX_WORDS = 50


def words_for(  # noqa: C901  (a case for each kind of word)
    debugger: Debugger, text: str
) -> Iterable[tuple[str, int]]:
    """Completions of a line, each with the number of characters that it replaces."""
    start = max(text.rfind(";") + 1, 0)
    piece = text[start:].lstrip()
    if " " not in piece:
        for name in COMMANDS:
            if name.startswith(piece) and name != piece:
                yield name, len(piece)
        return
    word = piece.rsplit(None, 1)[-1] if not piece.endswith(" ") else ""
    module, bang, rest = word.partition("!")
    if bang:
        found = debugger.target.module_named(module)
        if found is not None and rest:
            answer = debugger.target.session.ask(
                "names", module=found.index, pattern=f"{rest}*", max=_MAX_WORDS
            )
            for one in answer["names"]:
                yield f"{module}!{one['name']}", len(word)
        return
    for one in debugger.target.modules:
        if word and one.name.lower().startswith(word.lower()):
            yield f"{one.name}!", len(word)
    if word.startswith("@"):
        for name in debugger.frame().registers:
            if name.startswith(word[1:]):
                yield f"@{name}", len(word)


def reader(debugger: Debugger, history_file: Path | None) -> Callable[[], str]:
    """A function that reads one line from the terminal.

    Raises:
        DependencyError: prompt_toolkit is not installed.
    """
    try:
        from prompt_toolkit import PromptSession  # noqa: PLC0415
        from prompt_toolkit.completion import Completer, Completion  # noqa: PLC0415
        from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(
            "extra_missing",
            "the prompt needs the package prompt_toolkit",
            "pip install 'lastwords[analyze]'; scripts need none: -c \"CMD;q\"",
        ) from error

    class _Words(Completer):
        def get_completions(
            self,
            document: Document,
            complete_event: CompleteEvent,  # noqa: ARG002
        ) -> Iterable[Completion]:
            for word, length in words_for(debugger, document.text_before_cursor):
                yield Completion(word, start_position=-length)

    history = FileHistory(str(history_file)) if history_file is not None else InMemoryHistory()
    session: PromptSession[str] = PromptSession(
        history=history, completer=_Words(), complete_while_typing=False
    )
    return lambda: session.prompt(debugger.prompt)
