"""Move SQLite's write-ahead log into the database, beside the commits.

SQLite would do it inside the commit that makes the log long, and that commit would wait for all of it.  Here a thread
with its own connection does it after every so many rows; writers and readers go on meanwhile.  Only when the log has
grown far beyond its usual length (it never got a quiet moment) the next writer waits until it was emptied.

PostgreSQL does this itself: there the Checkpointer does nothing.
"""

import logging
import sqlite3
import threading

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

logger = logging.getLogger(__name__)

#: Rows after which the log is copied: some 4 MiB.
_ROWS_DUE = 4_000
#: Pages of the log (4 KiB each) above which it is emptied even though writers have to wait.
_LOG_PAGES_MAX = 65_536


class Checkpointer:
    """Owns the thread; note_written() wakes it when it is due."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = 0
        self._is_closed = False
        self._is_due = threading.Event()
        self._thread: threading.Thread | None = None
        if engine.dialect.name == "sqlite":
            self._thread = threading.Thread(target=self._run, name="sluice-checkpoint", daemon=True)
            self._thread.start()

    def note_written(self, rows: int) -> None:
        self._rows += rows
        if self._rows >= _ROWS_DUE:
            self._rows = 0
            self._is_due.set()

    def close(self) -> None:
        self._is_closed = True
        self._is_due.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            if self._is_closed:
                return
            try:
                self._checkpoint()
            except (sqlite3.Error, SQLAlchemyError) as error:
                # Nothing is lost: the log only stays long, and the next commit tells what is wrong with the disk.
                logger.warning("checkpoint failed: %s", error)

    def _checkpoint(self) -> None:
        # The driver's own connection: a checkpoint cannot run inside a transaction, and SQLAlchemy begins one.
        connection = self._engine.raw_connection()
        try:
            if _copy(connection, "PASSIVE") > _LOG_PAGES_MAX:
                _copy(connection, "RESTART")
        finally:
            connection.close()


def _copy(connection: PoolProxiedConnection, mode: str) -> int:
    """Copy the log into the database and return the log's length in pages."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA wal_checkpoint({mode})")
    row = cursor.fetchone()
    cursor.close()
    return int(row[1]) if row else 0
