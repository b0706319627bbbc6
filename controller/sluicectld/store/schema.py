"""Is the database's schema the one that this release knows; bring it there.

A controller upgrades at its start.  A database that a newer release has upgraded is refused: this release would not
write what the newer one needs.
"""

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from sluice.errors import StorageError
from sluice_migrations.head import HEAD

from .database import connect, file_identity, name_of, open_engine, storage_error
from .rights import missing_right

#: PostgreSQL's lock against two upgrades at once; any number, the same in every release.
_LOCK = 0x51_1C_E0


def upgrade(url: str) -> bool:
    """Bring the database at *url* to our version; True if anything had to be done.

    Two daemons that start together do it one after the other.  Raises StorageError, and changes nothing then.
    """
    engine = open_engine(url, may_create=True)
    try:
        with connect(engine) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            version = _version(connection)
            _refuse_newer(engine, version)
            if version == HEAD:
                return False
            # Here, because it takes half a second and is seldom needed.
            from sluice_migrations.upgrade import upgrade as run_migrations

            run_migrations(connection)
            return True
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """Return the version of the database at *url*; None: it has no tables yet.  Raises StorageError."""
    engine = open_engine(url, is_read_only=True)
    if engine.dialect.name == "sqlite" and file_identity(engine) is None:
        return None
    try:
        with connect(engine) as connection:
            return _version(connection)
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error
    finally:
        engine.dispose()


def check(url: str) -> None:
    """Raise StorageError unless the database at *url* has our version."""
    engine = open_engine(url, is_read_only=True)
    if engine.dialect.name == "sqlite" and file_identity(engine) is None:
        why = missing_right(engine.url.database or "") or "there is no such file to be read"
        raise StorageError(f"database {name_of(engine.url)} is gone or out of reach: {why}")
    version = current(url)
    _refuse_newer(engine, version)
    if version != HEAD:
        where = name_of(engine.url)
        raise StorageError(f"database {where} has schema version {version or 'none'}, need {HEAD}; run sluice migrate")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if version is None else str(version)


def _refuse_newer(engine: Engine, version: str | None) -> None:
    if version is not None and version > HEAD:
        raise StorageError(
            f"database {name_of(engine.url)} has schema version {version}, this release knows {HEAD} at most;"
            " start the release that upgraded it, or restore a backup from before"
        )
