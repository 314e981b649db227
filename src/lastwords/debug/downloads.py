"""Downloads of a session: what modules lack, from the servers of the symbol path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastwords.symbols.wanted import WantedModule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lastwords.debug.debugger import Debugger
    from lastwords.debug.target import Module
    from lastwords.symbols.download import Download

__all__ = ["download"]

_MAX_ROUNDS = 3
"""New symbols may show frames in further modules."""


def download(debugger: Debugger, indices: Sequence[int] | None = None) -> Iterable[str]:
    """Get what modules lack; by default those with frames on the chosen thread's stacks.

    Yields:
        What failed; in noisy mode also what came.
    """
    symbols = debugger.symbols
    if not (symbols.asks_servers and symbols.places.servers and symbols.fetch):
        return
    asked: set[tuple[str, str | None, str | None]] = set()
    for _ in range(_MAX_ROUNDS):
        missing = [one for one in _lacking(debugger, indices) if _key(one) not in asked]
        if not missing:
            return
        asked.update(map(_key, missing))
        found = symbols.fetch(symbols.places, missing)
        yield from _told(debugger, found)
        if not any(one.path for one in found):
            return
        debugger.look_anew()


def _lacking(debugger: Debugger, indices: Sequence[int] | None) -> Iterable[WantedModule]:
    target = debugger.target
    if indices is None:
        indices = sorted(_on_stack(debugger))
    target.load(list(indices))
    for module in map(target.modules.__getitem__, indices):
        wanted = _wanted(module)
        if (wanted.debug_id or wanted.code_id) and not wanted.has_debug_info:
            yield wanted


def _on_stack(debugger: Debugger) -> set[int]:
    """Where the thread stood when it crashed, and when the dump was written."""
    if not debugger.target.threads:
        return set()
    stacks = [debugger.target.stack(debugger.thread, own_context=own) for own in (False, True)]
    return {frame.module.index for stack in stacks for frame in stack if frame.module}


def _wanted(module: Module) -> WantedModule:
    facts = module.facts
    return WantedModule(
        code_file=module.path,
        debug_file=facts["debug_file"] or None,
        code_id=facts["code_id"] or None,
        debug_id=facts["debug_id"] or None,
        has_frames=True,
        status=facts["status"],
        kind=facts["kind"],
    )


def _key(module: WantedModule) -> tuple[str, str | None, str | None]:
    return (module.code_file, module.code_id, module.debug_id)


def _told(debugger: Debugger, found: Iterable[Download]) -> Iterable[str]:
    from lastwords.symbols.download import FileState  # noqa: PLC0415  (40 ms of urllib)

    for one in found:
        if one.state == FileState.FAILED:
            yield f"*** {one.url}: {one.reason}"
        elif debugger.is_noisy:
            yield f"SYMSRV: {one.module.debug_name}: {one.state} {one.path or ''}".rstrip()
