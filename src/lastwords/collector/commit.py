"""Many reports, one transaction: what arrives while the disk is busy is written together.

A commit waits for the disk once, however many reports it holds. While one is under way, new
reports gather; they make up the next. Each sender is answered only after its own commit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lastwords.store import AcceptedReport, NewReport

__all__ = ["GroupCommit"]

_MAX_BATCH = 256


class GroupCommit:
    """Gathers reports for `write`, which runs in a thread and is durable when it returns.

    Args:
        write: Stores reports in one transaction, and returns an answer for each, in order.
    """

    def __init__(self, write: Callable[[Sequence[NewReport]], Sequence[AcceptedReport]]) -> None:
        self._write = write
        self._waiting: list[tuple[NewReport, asyncio.Future[AcceptedReport]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, new: NewReport) -> AcceptedReport:
        """Store a report; returns when it is durable, raises what `write` raised for it."""
        answer: asyncio.Future[AcceptedReport] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="lastwords-commit")
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
            if not await self._commit(batch) and len(batch) > 1:
                for one in batch:  # one bad report must not take the others with it
                    await self._commit([one])

    async def _commit(self, batch: list[tuple[NewReport, asyncio.Future[AcceptedReport]]]) -> bool:
        try:
            accepted = await asyncio.to_thread(self._write, [new for new, _ in batch])
        except Exception as error:  # noqa: BLE001  (handed to whoever waits for it)
            if len(batch) == 1 and not batch[0][1].done():
                batch[0][1].set_exception(error)
            return False
        for (_, answer), one in zip(batch, accepted, strict=True):
            if not answer.done():
                answer.set_result(one)
        return True
