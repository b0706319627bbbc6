"""The thread that owns the writing connection: group commit.

Whoever waits shares one transaction: the thread takes all waiting items, merges their batches, commits once and hands
the items back.  While one commit runs the next group gathers, so that groups grow with the load and nobody waits alone.

Invariant: the journal has no gaps.  After a failed commit, batches that follow the failed one are refused too, until
the failed one is submitted again (its commit may have succeeded unseen: then it is acknowledged, not written twice) or
the engine starts over from what is stored.  A second controller that writes here collides with our event numbers.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from sqlalchemy import URL, Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from sluice.errors import StorageError

from . import tables
from .batch import Batch
from .checkpoint import Checkpointer
from .database import Trouble, connect, is_in_place, name_of, open_engine, storage_error, trouble_of
from .save import save

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

#: Attempts at one transaction while the database is locked or its connection broke.
_ATTEMPTS_MAX = 3


@dataclass(slots=True)
class WriterStatistics:
    """Counts since the start."""

    commits: int = 0
    items: int = 0
    rows: int = 0
    failures: int = 0
    #: Items of the largest group.
    group_max: int = 0
    #: Seconds inside transactions, and of these inside COMMIT.
    transaction_s: float = 0.0
    commit_s: float = 0.0


class Writer(Generic[Item]):
    """One thread, one connection, one transaction at a time.

    on_committed, on_failed: called in the writer's thread with the items of one group, in order of submission; a
    daemon passes functions that hand over to its event loop.
    """

    def __init__(
        self,
        database: Engine | URL | str,
        on_committed: Callable[[list[Item]], None],
        on_failed: Callable[[list[Item], StorageError], None],
        *,
        queue_max: int = 100_000,
    ) -> None:
        self.statistics = WriterStatistics()
        self._engine = database if isinstance(database, Engine) else open_engine(database)
        self._owns_engine = not isinstance(database, Engine)
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._queue: SimpleQueue[tuple[Batch, Item] | None] = SimpleQueue()
        self._queue_max = queue_max
        self._is_closed = False
        self._connection: Connection | None = None
        self._last_sequence = 0
        self._checkpointer = Checkpointer(self._engine)
        self._thread = threading.Thread(target=self._run, name="sluice-writer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many items wait."""
        return self._queue.qsize()

    def submit(self, batch: Batch, item: Item) -> None:
        """Queue *batch*; *item* comes back by one of the two callbacks.  Never waits.

        The batch is the writer's from here on.  Raises StorageError when the queue is full or the writer closed.
        """
        if self._is_closed:
            raise StorageError("the store is closed")
        if self._queue.qsize() >= self._queue_max:
            raise StorageError(f"{self._queue_max} transactions wait for the database already")
        self._queue.put((batch, item))

    def close(self) -> None:
        """Commit what waits, then end the thread.  submit() must not run meanwhile."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()

    # --- the thread

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._take_all()
            if group:
                self._handle(group)
        self._disconnect()
        self._checkpointer.close()
        if self._owns_engine:
            self._engine.dispose()

    def _take_all(self) -> tuple[list[tuple[Batch, Item]], bool]:
        """Wait for an item, then take all that wait; False with the last ones."""
        group: list[tuple[Batch, Item]] = []
        entry = self._queue.get()
        try:
            while entry is not None:
                group.append(entry)
                entry = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _handle(self, group: list[tuple[Batch, Item]]) -> None:
        """Commit the group and hand its items back; the thread survives whatever happens."""
        items = [item for _, item in group]
        try:
            self._commit([batch for batch, _ in group])
        except StorageError as error:
            logger.error("storage failed items=%d: %s", len(items), error)
            self._fail(items, error)
        except Exception as error:
            # A value that no database takes, or a bug: the group is lost, the writer is not.
            logger.exception("storage failed items=%d", len(items))
            self._disconnect()
            self._fail(items, StorageError(f"the transaction could not be written: {error}"))
        else:
            self.statistics.items += len(items)
            self.statistics.group_max = max(self.statistics.group_max, len(items))
            self._call(self._on_committed, items)

    def _fail(self, items: list[Item], error: StorageError) -> None:
        self.statistics.failures += 1
        self._call(self._on_failed, items, error)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            # The event loop may be closed already; what is committed stays so.
            logger.exception("a callback of the store failed")

    def _commit(self, batches: Sequence[Batch]) -> None:
        """Commit all of *batches* in one transaction.  Raises StorageError."""
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                self._commit_once(batches)
                return
            except SQLAlchemyError as error:
                trouble = trouble_of(error)
                if trouble is not Trouble.LOCKED:
                    self._disconnect()
                # A broken connection is tried anew once: the server may have restarted since the last commit.
                is_last = attempt == (_ATTEMPTS_MAX if trouble is Trouble.LOCKED else 2)
                if is_last or trouble not in (Trouble.LOCKED, Trouble.GONE):
                    raise storage_error(error, self._engine) from error
                logger.warning("storage %s, trying again: %s", trouble.value, storage_error(error, self._engine))

    def _commit_once(self, batches: Sequence[Batch]) -> None:
        connection = self._connected()
        batch = _merged(self._not_yet_committed(batches))
        if batch.is_empty:
            return
        # Before, so that what is refused is not there when the file is back; and after, so that nothing is missed.
        self._check_file()
        started_at = time.perf_counter()
        with connection.begin() as transaction:
            rows = save(connection, batch)
            saved_at = time.perf_counter()
            transaction.commit()
        ended_at = time.perf_counter()
        self._check_file()
        if batch.events:
            self._last_sequence = batch.events[-1].sequence
        self.statistics.commits += 1
        self.statistics.rows += rows
        self.statistics.commit_s += ended_at - saved_at
        self.statistics.transaction_s += ended_at - started_at
        self._checkpointer.note_written(rows)

    def _check_file(self) -> None:
        """What was written into a file that was moved away meanwhile, or removed, is not to be acknowledged."""
        if self._connection is not None and not is_in_place(self._connection):
            # Not back into the pool.
            self._connection.invalidate()
            self._disconnect()
            where = name_of(self._engine.url)
            raise StorageError(f"database {where} is gone: its file was moved or replaced; put it back")

    def _not_yet_committed(self, batches: Sequence[Batch]) -> list[Batch]:
        """Return the batches that the journal has not; raises StorageError if it would get a gap."""
        waiting: list[Batch] = []
        last = self._last_sequence
        for batch in batches:
            if batch.events:
                if batch.events[-1].sequence <= last:
                    continue
                _check_consecutive(batch, last)
                last = batch.events[-1].sequence
            waiting.append(batch)
        return waiting

    def _connected(self) -> Connection:
        """Return the connection; a new one first reads how far the journal goes."""
        if self._connection is None:
            connection = connect(self._engine)
            try:
                with connection.begin():
                    self._last_sequence = connection.scalar(select(func.max(tables.event.c.sequence))) or 0
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except SQLAlchemyError:
                logger.debug("closing a broken connection failed", exc_info=True)


def _merged(batches: Sequence[Batch]) -> Batch:
    """Return one batch; the given ones stay as they are, for another attempt."""
    if len(batches) == 1:
        return batches[0]
    merged = Batch()
    for batch in batches:
        merged.merge(batch)
    return merged


def _check_consecutive(batch: Batch, last: int) -> None:
    first = batch.events[0].sequence
    if first != last + 1:
        raise StorageError(
            f"events {last + 1} to {first - 1} are missing before event {first}: a commit failed earlier"
        )
    expected = first + len(batch.events) - 1
    if batch.events[-1].sequence != expected:
        raise StorageError(f"the batch from event {first} ends with {batch.events[-1].sequence}, expected {expected}")
