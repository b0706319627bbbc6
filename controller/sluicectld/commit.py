"""Group commit: outcomes wait here together, and leave together once their events are on disk.

What the engine does in one turn of the event loop, and while a commit is under way, shares the next transaction.  A
reply that changed nothing waits too when something is uncommitted: nobody is told of what may still be lost.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from sluice.errors import StorageError
from sluicectld.store.batch import Batch
from sluicectld.store.writer import Writer

logger = logging.getLogger(__name__)

#: Called in the loop's thread: with None once it is committed, else with why it is not.
Waiter = Callable[[StorageError | None], None]


class Committer:
    """take_batch: gives what the state has changed since the last time."""

    def __init__(self, database_url: str, take_batch: Callable[[], Batch], on_failed: Callable[[StorageError], None]):
        self._loop = asyncio.get_running_loop()
        self._take_batch = take_batch
        self._on_failed = on_failed
        self._waiters: list[Waiter] = []
        self._is_busy = False
        self._is_scheduled = False
        self._has_changes = False
        self._failure: StorageError | None = None
        self.writer: Writer[list[Waiter]] = Writer(
            database_url,
            lambda items: self._hand_over(partial(self._committed, items)),
            lambda items, error: self._hand_over(partial(self._failed, items, error)),
        )

    def _hand_over(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)

    def after_commit(self, waiter: Waiter, *, has_changed: bool) -> None:
        """Call *waiter* when everything that the engine has done so far is on disk."""
        if self._failure is not None:
            waiter(self._failure)
            return
        self._has_changes = self._has_changes or has_changed
        if not self._has_changes and not self._is_busy:
            waiter(None)
            return
        self._waiters.append(waiter)
        self._schedule()

    @property
    def depth(self) -> int:
        """How many replies and effects wait."""
        return len(self._waiters)

    def _schedule(self) -> None:
        if not self._is_busy and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        if self._is_busy or self._failure is not None or not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        self._has_changes = False
        self._is_busy = True
        try:
            self.writer.submit(self._take_batch(), waiters)
        except StorageError as error:
            self._failed([waiters], error)

    def _committed(self, items: list[list[Waiter]]) -> None:
        self._is_busy = False
        if self._waiters:
            self._schedule()
        for waiters in items:
            for waiter in waiters:
                _release(waiter, None)

    def _failed(self, items: list[list[Waiter]], error: StorageError) -> None:
        """What waits is not acknowledged, nor is what came after it; the state in memory is worth nothing now."""
        self._is_busy = False
        self._failure = error
        late, self._waiters = self._waiters, []
        for waiter in [waiter for waiters in items for waiter in waiters] + late:
            _release(waiter, error)
        self._on_failed(error)

    async def close(self) -> None:
        """Commit what waits and end the writer's thread."""
        if self._failure is None and self._has_changes and not self._is_busy:
            self._flush()
        await self._loop.run_in_executor(None, self.writer.close)


def _release(waiter: Waiter, error: StorageError | None) -> None:
    """What one waiter cannot do, a reply that cannot be written say, keeps nobody else waiting."""
    try:
        waiter(error)
    except Exception:
        logger.exception("what waited for a commit failed")
