"""Engines for SQLite and PostgreSQL behind one URL, and what a driver's error means.

Everything that differs between the two databases is here and in statements.py.  A transaction of a writing engine is
exclusive from its first statement (BEGIN IMMEDIATE); readers never wait for it and never hold it up.
"""

import contextlib
import os
import sqlite3
import time
from enum import StrEnum
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from sluice.errors import StorageError

from . import rights

#: A locked database is waited for this long, each time.
BUSY_TIMEOUT_S = 5.0
#: An unreachable one this long.
CONNECT_TIMEOUT_S = 5
#: The log file keeps at most this much of the disk once it was copied into the database.
_LOG_SIZE_MAX_BYTES = 64 * 1024 * 1024


#: Of a connection's info: which file it has open.
_FILE = "sluice_file"


class Trouble(StrEnum):
    """What a driver's error amounts to."""

    LOCKED = "locked"
    FULL = "full"
    GONE = "gone"
    CONFLICT = "conflict"
    REFUSED = "refused"


def open_engine(url: str | URL, *, is_read_only: bool = False, may_create: bool = False) -> Engine:
    """Return an engine for *url* (sqlite:////path or postgresql://...); connects to nothing yet.

    may_create: an SQLite file that is not there is made, else connecting fails.
    Raises StorageError when the URL is of no database that we know.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, is_read_only, may_create)
    return _open_postgresql(parsed, is_read_only)


def connect(engine: Engine) -> Connection:
    """Return a connection; raises StorageError when there is none to be had."""
    try:
        return engine.connect()
    except DBAPIError as error:
        raise storage_error(error, engine) from error


def is_in_place(connection: Connection) -> bool:
    """Does the database's path still lead to the file that *connection* has open?"""
    return connection.dialect.name != "sqlite" or connection.info.get(_FILE) == file_identity(connection.engine)


def file_identity(engine: Engine) -> tuple[int, int] | None:
    """Return which file the database's path leads to now: device and inode; None where there is none."""
    if engine.dialect.name != "sqlite":
        return None
    try:
        status = os.stat(engine.url.database or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def trouble_of(error: BaseException) -> Trouble:
    """Return what *error*, of a driver or of SQLAlchemy, amounts to."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, IntegrityError):
        return Trouble.CONFLICT
    if isinstance(original, sqlite3.Error):
        # The low byte is the primary code; the rest only refines it.
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        return _SQLITE_TROUBLES.get(code, Trouble.REFUSED)
    state = getattr(original, "sqlstate", None) or ""
    if not state and isinstance(error, OperationalError | InterfaceError):
        return Trouble.GONE
    return next((trouble for prefix, trouble in _POSTGRESQL_TROUBLES if state.startswith(prefix)), Trouble.REFUSED)


def storage_error(error: BaseException, engine: Engine) -> StorageError:
    """Return the error as a sentence: which database, what stands against it."""
    trouble = trouble_of(error)
    original = error.orig if isinstance(error, DBAPIError) else error
    detail = " ".join(str(original).split())
    return StorageError(f"{_SENTENCES[trouble].format(where=name_of(engine.url))}: {detail}")


def name_of(url: URL) -> str:
    """Return how messages name the database: a path, or a URL without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


_SENTENCES = {
    Trouble.LOCKED: "database {where} is locked by another process",
    Trouble.FULL: "database {where} or its disk is full",
    Trouble.GONE: "database {where} is gone or out of reach",
    Trouble.CONFLICT: "database {where} was written by another controller",
    Trouble.REFUSED: "database {where} refused a statement",
}

_SQLITE_TROUBLES = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_IOERR: Trouble.GONE,
    sqlite3.SQLITE_CANTOPEN: Trouble.GONE,
    sqlite3.SQLITE_READONLY: Trouble.GONE,
    sqlite3.SQLITE_CORRUPT: Trouble.GONE,
    sqlite3.SQLITE_NOTADB: Trouble.GONE,
}

#: By SQLSTATE, the longer prefix first.
_POSTGRESQL_TROUBLES = (
    ("53100", Trouble.FULL),
    ("40", Trouble.LOCKED),
    ("55P03", Trouble.LOCKED),
    ("08", Trouble.GONE),
    ("57P", Trouble.GONE),
    ("53", Trouble.GONE),
    # A standby that was not promoted takes no writes.
    ("25006", Trouble.GONE),
)


def _parse(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        raise StorageError("SluiceDatabase is not a database URL; use sqlite:////path or postgresql://...") from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql", "postgres"):
        raise StorageError(f"SluiceDatabase: {backend!r} is not supported; use sqlite:////path or postgresql://...")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StorageError("SluiceDatabase: state in memory would be lost; use sqlite:////path")
    return parsed if backend == "sqlite" else parsed.set(drivername="postgresql+psycopg")


def _open_sqlite(url: URL, is_read_only: bool, may_create: bool) -> Engine:
    # isolation_level None: the driver begins no transactions of its own.
    arguments: dict[str, Any] = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments)

    @event.listens_for(engine, "do_connect")
    def see_to_the_file(*_: object) -> sqlite3.Connection | None:
        path = url.database or ""
        if problem := rights.missing_right(path):
            raise _cannot_open(problem)
        # SQLite would make an empty one, and take the log of the lost one for its own.
        if not os.path.exists(path):
            if not may_create:
                raise _cannot_open("no such file")
            _create(path)
        uri = rights.reader_uri(path) if is_read_only else ""
        return sqlite3.connect(uri, uri=True, **arguments) if uri else None

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = file_identity(engine)
        if not is_read_only:
            _turn_log_on(connection)
        for pragma in _READER_PRAGMAS if is_read_only else _WRITER_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if is_read_only else "BEGIN IMMEDIATE")

    return engine


def _create(path: str) -> None:
    if os.path.exists(f"{path}-wal"):
        raise _cannot_open(
            f"no such file, but its log {path}-wal is there; put both back, or remove the log to begin anew"
        )
    # Scripts and environments hold secrets.  SQLite gives its log files the mode of the database.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _cannot_open(why: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return error


_READER_PRAGMAS = ("query_only = ON",)
_WRITER_PRAGMAS = (
    # Every commit reaches the disk: acknowledged means committed.
    "synchronous = FULL",
    # checkpoint.py copies the log into the database, beside the commits instead of inside one.
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {_LOG_SIZE_MAX_BYTES}",
)


def _turn_log_on(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others when it changes the journal's mode, so we do."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if trouble_of(error) is not Trouble.LOCKED or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _open_postgresql(url: URL, is_read_only: bool) -> Engine:
    try:
        engine = create_engine(url, connect_args=_postgresql_arguments(url), pool_pre_ping=is_read_only)
    except ModuleNotFoundError as error:
        raise StorageError("a PostgreSQL database needs the package 'psycopg'; install sluice[postgres]") from error

    @event.listens_for(engine, "connect")
    def set_session(connection: Any, _: object) -> None:
        for statement in _READER_SESSION if is_read_only else _WRITER_SESSION:
            connection.execute(statement)
        connection.execute(f"SET lock_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
        connection.commit()

    return engine


_WRITER_SESSION = (
    # A site may ask for more than "on" (its standbys too), never for less.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')",
)
_READER_SESSION = (
    # All statements of one transaction see the same state, as in SQLite.
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
)


def _postgresql_arguments(url: URL) -> dict[str, object]:
    """A dead server is noticed in seconds; what the URL says itself counts."""
    defaults = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "sluicectld",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }
    return {key: value for key, value in defaults.items() if key not in url.query}
