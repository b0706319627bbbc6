"""What was acknowledged is there, once, whatever was killed, full, locked or gone at any moment."""

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text

from sluice.errors import StorageError
from sluicectld.store import database, tables
from sluicectld.store.database import open_engine
from sluicectld.store.load import load
from sluicectld.store.writer import Writer
from tests.controller.store.conftest import make_tables
from tests.controller.store.crash_writer import POINTS
from tests.controller.store.store_records import a_submission
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[3]
WAIT_S = 60


class Client:
    """Submits jobs to a writer, one after the other, and knows which were acknowledged."""

    def __init__(self, engine: Engine | str) -> None:
        self.writer: Writer[Future[None]] = Writer(engine, self._on_committed, self._on_failed)
        self.acknowledged: list[int] = []

    def submit(self, job_id: int) -> None:
        """Raises StorageError if it fails."""
        item: Future[None] = Future()
        self.writer.submit(a_submission(job_id), item)
        item.result(WAIT_S)
        self.acknowledged.append(job_id)

    def submit_up_to(self, last: int) -> None:
        """Raises StorageError at the first that fails."""
        for job_id in range(len(self.acknowledged) + 1, last + 1):
            self.submit(job_id)

    @staticmethod
    def _on_committed(items: list["Future[None]"]) -> None:
        for item in items:
            item.set_result(None)

    @staticmethod
    def _on_failed(items: list["Future[None]"], error: StorageError) -> None:
        for item in items:
            item.set_exception(error)


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    client = Client(engine)
    yield client
    client.writer.close()


def check_stored(url: str, acknowledged: list[int]) -> int:
    """Everything acknowledged is there once, every transaction is there whole; return the number of jobs."""
    engine = open_engine(url, is_read_only=True)
    with engine.connect() as connection:
        events = list(connection.execute(select(tables.event.c.sequence, tables.event.c.job_id)))
    loaded = load(engine, ended_after_at=0, tokens_after_at=0)
    engine.dispose()
    assert sorted(sequence for sequence, _ in events) == list(range(1, len(events) + 1))
    job_ids = sorted(job_id for _, job_id in events)
    assert job_ids == sorted(set(job_ids)), "a job is in the journal twice"
    assert set(acknowledged) <= set(job_ids), "an acknowledged job is lost"
    assert sorted(loaded.jobs) == job_ids == sorted(loaded.tokens.values()), "half of a transaction is there"
    return len(job_ids)


def run_child(url: str, last: int, point: str = "never", count: int = 1) -> "subprocess.Popen[str]":
    path = ":".join(str(ROOT / folder) for folder in (".", "controller", "migrations"))
    program = Path(__file__).with_name("crash_writer.py")
    command = [sys.executable, str(program), url, str(last), point, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": path})


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_of_a_commit(database_url: str, point: str) -> None:
    """Twice, so that the second life starts from what the first left; the third ends by itself."""
    acknowledged: list[int] = []
    for count in (3, 1):
        child = run_child(database_url, 400, point, count)
        output, _ = child.communicate(timeout=WAIT_S)
        assert child.returncode == -signal.SIGKILL
        acknowledged += map(int, output.split())
        check_stored(database_url, acknowledged)

    output, _ = run_child(database_url, 400).communicate(timeout=WAIT_S)

    acknowledged += map(int, output.split())
    assert check_stored(database_url, acknowledged) == 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_moment(database_url: str, seed: int) -> None:
    """The moment is told by the number of acknowledgements that were read."""
    chance = random.Random(seed)
    acknowledged: list[int] = []
    for _ in range(4):
        with run_child(database_url, 20_000) as child:
            assert child.stdout is not None
            for _ in range(chance.randint(1, 2_000)):
                acknowledged.append(int(child.stdout.readline()))
            child.kill()
            acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        assert child.returncode == -signal.SIGKILL
        assert check_stored(database_url, acknowledged) < 20_000, f"seed {seed}: it was not killed in time"


def test_a_commit_whose_answer_was_lost_is_not_written_twice(
    engine: Engine, client: Client, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is committed, then the connection breaks: only the journal can tell."""
    client.submit(1)
    commit, is_first = engine.dialect.do_commit, iter([True])

    def commit_and_break(connection: Any) -> None:
        commit(connection)
        if next(is_first, False):
            raise broken_connection(engine)

    monkeypatch.setattr(engine.dialect, "do_commit", commit_and_break)
    client.submit(2)

    client.submit(3)
    assert check_stored(database_url, client.acknowledged) == 3


def broken_connection(engine: Engine) -> Exception:
    if engine.dialect.name == "sqlite":
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        return error
    import psycopg

    return psycopg.OperationalError("server closed the connection unexpectedly")


def test_a_locked_database_is_told_and_waited_for(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    other = open_engine(database_url)
    client = Client(database_url)
    client.submit(1)

    with other.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StorageError, match="is locked by another process"):
            client.submit(2)
    client.submit(2)

    client.writer.close()
    other.dispose()
    assert check_stored(database_url, [1, 2]) == 2


# --- SQLite alone


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    make_tables(url)
    return url


def test_a_full_database_refuses_and_goes_on_when_there_is_room(sqlite_url: str) -> None:
    engine = open_engine(sqlite_url)
    pages_max = [40]

    @event.listens_for(engine, "begin")
    def bound_size(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages_max[0]}")

    client = Client(engine)
    with pytest.raises(StorageError, match=r"state.db or its disk is full: database or disk is full"):
        client.submit_up_to(2_000)
    refused = len(client.acknowledged) + 1
    assert check_stored(sqlite_url, client.acknowledged) == len(client.acknowledged)

    pages_max[0] = 1_000_000
    with pytest.raises(StorageError, match="are missing before event"):
        client.submit(refused + 1)
    client.submit(refused)
    client.submit(refused + 1)

    client.writer.close()
    assert check_stored(sqlite_url, client.acknowledged) == refused + 1


def test_what_goes_into_a_removed_file_is_not_acknowledged(sqlite_url: str, tmp_path: Path) -> None:
    """The database is moved away under the writer, and put back."""
    client = Client(open_engine(sqlite_url))
    client.submit(1)
    files = [path for path in tmp_path.iterdir() if path.name.startswith("state.db")]
    (tmp_path / "away").mkdir()
    for path in files:
        path.rename(tmp_path / "away" / path.name)

    for _ in range(2):
        with pytest.raises(StorageError, match="gone"):
            client.submit(2)
    assert not (tmp_path / "state.db").exists()

    for path in files:
        (tmp_path / "away" / path.name).rename(path)
    client.submit(2)

    client.writer.close()
    assert check_stored(sqlite_url, client.acknowledged) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no permission to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk / 'state.db'}"
    make_tables(url)
    client = Client(url)

    with pytest.raises(StorageError, match=r"state\.db or its disk is full"):
        client.submit_up_to(10_000)
    refused = len(client.acknowledged) + 1
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    client.submit(refused)

    client.writer.close()
    assert check_stored(url, client.acknowledged) == refused


# --- PostgreSQL alone


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    postgres_server.drop_database("recovery")
    url = postgres_server.create_database("recovery")
    make_tables(url)
    yield url
    postgres_server.drop_database("recovery")


def test_a_broken_connection_is_replaced_without_anybody_noticing(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    client = Client(postgres_url)
    client.submit(1)

    postgres_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'recovery'")
    client.submit(2)

    client.writer.close()
    assert check_stored(postgres_url, client.acknowledged) == 2


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_stops_and_comes_back(postgres_server: PostgresServer, postgres_url: str, mode: str) -> None:
    """immediate: as after a power failure; the server recovers from its own log."""
    client = Client(postgres_url)
    client.submit_up_to(20)

    postgres_server.stop(mode)
    try:
        with pytest.raises(StorageError, match="is gone or out of reach"):
            client.submit(21)
    finally:
        postgres_server.start()
    client.submit(21)

    client.writer.close()
    assert check_stored(postgres_url, client.acknowledged) == 21


def test_a_server_that_stops_in_the_middle_of_writing(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Whatever failed is submitted again in its order, as the engine does; all is there once."""
    acknowledged: list[int] = []
    failed: list[int] = []
    has_begun: Future[None] = Future()

    def on_committed(ids: list[int]) -> None:
        acknowledged.extend(ids)
        if not has_begun.done():
            has_begun.set_result(None)

    writer: Writer[int] = Writer(postgres_url, on_committed, lambda ids, error: failed.extend(ids))
    for job_id in range(1, 3_001):
        writer.submit(a_submission(job_id), job_id)
    has_begun.result(WAIT_S)
    postgres_server.stop("immediate")
    for job_id in range(3_001, 3_101):
        writer.submit(a_submission(job_id), job_id)
    writer.close()
    postgres_server.start()

    check_stored(postgres_url, acknowledged)
    writer = Writer(postgres_url, on_committed, lambda ids, error: pytest.fail(str(error)))
    for job_id in failed:
        writer.submit(a_submission(job_id), job_id)
    writer.close()

    assert failed
    assert check_stored(postgres_url, acknowledged) == 3_100
    assert sorted(acknowledged) == list(range(1, 3_101))


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("53100", "or its disk is full"),
        ("40P01", "is locked by another process"),
        ("57P01", "is gone or out of reach"),
        ("25006", "is gone or out of reach"),
        ("22003", "refused a statement"),
    ],
)
def test_the_servers_errors_are_told_apart(postgres_url: str, state: str, sentence: str) -> None:
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '{state}'; END $$"
            )
        )
        connection.execute(text("CREATE TRIGGER trouble BEFORE INSERT ON job EXECUTE FUNCTION trouble()"))
    client = Client(engine)

    with pytest.raises(StorageError, match=sentence):
        client.submit(1)

    client.writer.close()
    engine.dispose()


def test_a_password_is_never_told() -> None:
    engine = open_engine("postgresql://sluice:secret@localhost:1/state")

    with pytest.raises(StorageError, match=r"postgresql://sluice:\*\*\*@localhost:1/state") as caught:
        database.connect(engine)

    assert "secret" not in str(caught.value)
