"""The migrated schema is the one that the store's tables describe, on both databases; newer ones are refused."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from sluice.errors import StorageError
from sluice_migrations.head import HEAD
from sluice_migrations.upgrade import newest_version
from sluicectld.store import schema, tables
from sluicectld.store.database import open_engine

ROOT = Path(__file__).parents[2]


def test_the_head_is_the_newest_version_file() -> None:
    assert newest_version() == HEAD


def test_the_migrated_schema_equals_the_tables(two_urls: tuple[str, str]) -> None:
    migrated, described = (open_engine(url, may_create=True) for url in two_urls)

    assert schema.upgrade(two_urls[0])
    tables.metadata.create_all(described)

    assert definitions(migrated) == definitions(described)
    migrated.dispose()
    described.dispose()


def definitions(engine: Engine) -> list[tuple[object, ...]]:
    """What the database itself says of its tables and indexes."""
    if engine.dialect.name == "sqlite":
        queries = ["SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"]
    else:
        queries = [
            "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
            "SELECT tablename, indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
        ]
    with engine.connect() as connection:
        rows = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return sorted((tuple(map(_plain, row)) for row in rows), key=repr)


def _plain(value: object) -> object:
    """Without the spaces that two writers of one statement may set differently."""
    return "".join(value.split()) if isinstance(value, str) else value


def test_an_upgrade_is_done_once(url: str) -> None:
    assert schema.current(url) is None

    assert schema.upgrade(url)
    assert not schema.upgrade(url)

    assert schema.current(url) == HEAD
    schema.check(url)


def test_a_database_without_tables_does_not_pass_the_check(url: str) -> None:
    engine = open_engine(url, may_create=True)
    engine.connect().close()
    engine.dispose()
    with pytest.raises(StorageError, match=f"has schema version none, need {HEAD}; run sluice migrate"):
        schema.check(url)


def test_a_lost_database_is_not_begun_anew_beside_its_log(tmp_path: Path) -> None:
    """SQLite would write the log of the lost one into the new one."""
    (tmp_path / "state.db-wal").write_bytes(b"the last commits")

    with pytest.raises(StorageError, match="put both back, or remove the log to begin anew"):
        schema.upgrade(f"sqlite:///{tmp_path}/state.db")

    assert not (tmp_path / "state.db").exists()


def test_a_file_that_is_not_there_is_no_old_schema(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        schema.check(f"sqlite:///{tmp_path}/state.db")


def test_a_newer_database_is_refused(url: str) -> None:
    schema.upgrade(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    for action in (schema.upgrade, schema.check):
        with pytest.raises(StorageError, match=f"has schema version 9999, this release knows {HEAD} at most"):
            action(url)


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(url: str) -> None:
    """The last table of the first version stands in the way: none of the others may stay."""
    engine = open_engine(url, may_create=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE meta (other INTEGER)"))

    with pytest.raises(StorageError, match="meta"):
        schema.upgrade(url)

    assert inspect(engine).get_table_names() == ["meta"]
    engine.dispose()


def test_daemons_that_start_together_upgrade_once(url: str) -> None:
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(schema.upgrade(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == [False, False, False, True]


def test_a_start_with_a_current_database_does_not_import_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    schema.upgrade(url)
    program = (
        f"import sys; from sluicectld.store import schema; schema.upgrade({url!r}); print('alembic' in sys.modules)"
    )
    path = ":".join(str(ROOT / folder) for folder in (".", "controller", "migrations"))

    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )

    assert answer.stdout == "False\n"


def test_a_new_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Scripts and environments hold secrets."""
    schema.upgrade(f"sqlite:///{tmp_path / 'state.db'}")

    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_database_out_of_reach_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none/state.db is gone or out of reach: unable to open"):
        schema.upgrade(f"sqlite:///{tmp_path / 'none' / 'state.db'}")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://host/db", "'mysql' is not supported"),
        ("state.db", "not a database URL"),
        ("sqlite://", "in memory would be lost"),
    ],
)
def test_a_url_of_no_known_database_is_refused(url: str, problem: str) -> None:
    with pytest.raises(StorageError, match=problem):
        schema.upgrade(url)
