"""Reading a database that one may not write: another user's, running or not; and which right is missing else."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sluice.errors import StorageError
from sluicectld.store import schema, tables
from sluicectld.store.batch import Batch
from sluicectld.store.database import open_engine
from sluicectld.store.save import save
from sluicectld.store.verify import verify
from tests.controller.store.store_records import an_event

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can reach, and its owner write."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def url(folder: Path) -> str:
    url = f"sqlite:///{folder / 'state.db'}"
    schema.upgrade(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        save(connection, Batch(events=[an_event(1)]))
    engine.dispose()
    (folder / "state.db").chmod(0o644)
    return url


def as_nobody(url: str) -> str:
    """Return what another user reads: the count of events, or what is told instead."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writer, _read(url).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as file:
        return file.read()


def _read(url: str) -> str:
    try:
        schema.check(url)
        engine = open_engine(url, is_read_only=True)
        with engine.connect() as connection:
            return str(len(connection.execute(select(tables.event)).all()))
    except StorageError as error:
        return str(error)
    except Exception as error:
        return repr(error)


def test_a_database_at_rest_is_read(url: str, folder: Path) -> None:
    assert not (folder / "state.db-wal").exists()
    assert as_nobody(url) == "1"


def test_a_database_in_use_is_read_with_its_log(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as held:
        with held.begin():
            save(held, Batch(events=[an_event(2)]))
        assert as_nobody(url) == "2"
    engine.dispose()


def test_a_database_of_others_is_refused_with_the_right_that_is_missing(url: str, folder: Path) -> None:
    (folder / "state.db").chmod(0o600)
    assert f"user 'nobody' has no right to read {folder}/state.db (r)" in as_nobody(url)

    folder.chmod(0o700)
    assert f"user 'nobody' has no right to search folder {folder} (x)" in as_nobody(url)


def test_a_log_that_only_its_owner_can_replay_is_told(url: str, folder: Path) -> None:
    """As a power failure may leave it."""
    (folder / "state.db-wal").write_bytes(b"x" * 5000)

    assert f"user 'nobody' has no right to write in {folder} (w)" in as_nobody(url)


class Nothing:
    """What an empty journal comes to: no records of any kind."""

    def __getattr__(self, name: str) -> dict[object, object]:
        return {}


def test_a_database_that_changes_meanwhile_is_not_judged(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluicectld.store.rights.reader_uri", lambda path: f"file:{path}?immutable=1")

    def replay(events: object) -> object:
        os.utime(folder / "state.db", ns=(1, 1))
        return Nothing()

    with pytest.raises(StorageError, match="was changed while it was read"):
        verify(open_engine(url, is_read_only=True), replay)  # type: ignore[arg-type]
