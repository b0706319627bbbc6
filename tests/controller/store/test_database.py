"""What the store asks of its databases: durable commits, short logs, indexes that are used."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, Select, select, text

from sluice.wire.messages import JobFilter, QueryAccounting
from sluicectld.store import checkpoint, tables
from sluicectld.store.batch import Batch
from sluicectld.store.database import open_engine
from sluicectld.store.selection import conditions
from sluicectld.store.writer import Writer
from tests.controller.store.conftest import make_tables
from tests.controller.store.store_records import a_submission


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    make_tables(url)
    return url


def test_every_commit_reaches_the_disk(engine: Engine) -> None:
    question, answer = (
        ("PRAGMA synchronous", 2) if engine.dialect.name == "sqlite" else ("SHOW synchronous_commit", "on")
    )

    with engine.connect() as connection:
        assert connection.scalar(text(question)) == answer


def test_the_log_is_copied_into_the_database_beside_the_commits(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main file alone, as it is after a checkpoint, has the first jobs while the writer is still open."""
    monkeypatch.setattr(checkpoint, "_ROWS_DUE", 100)
    is_copied = threading.Event()
    copy = checkpoint._copy

    def copy_and_tell(connection: object, mode: str) -> int:
        pages = copy(connection, mode)  # type: ignore[arg-type]
        is_copied.set()
        return pages

    monkeypatch.setattr(checkpoint, "_copy", copy_and_tell)
    writer: Writer[int] = Writer(sqlite_url, lambda items: None, lambda items, error: None)
    batch = Batch()
    for job_id in range(1, 101):
        batch.merge(a_submission(job_id))
    writer.submit(batch, 1)
    assert is_copied.wait(20)

    (tmp_path / "copy.db").write_bytes((tmp_path / "state.db").read_bytes())
    copied = sqlite3.connect(tmp_path / "copy.db")
    assert copied.execute("SELECT count(*) FROM job").fetchone() == (100,)
    copied.close()
    writer.close()


def test_a_log_that_never_gets_a_quiet_moment_is_emptied(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_ROWS_DUE", 1)
    monkeypatch.setattr(checkpoint, "_LOG_PAGES_MAX", 0)
    modes: list[str] = []
    is_emptied = threading.Event()
    copy = checkpoint._copy

    def copy_and_note(connection: object, mode: str) -> int:
        modes.append(mode)
        pages = copy(connection, mode)  # type: ignore[arg-type]
        if mode == "RESTART":
            is_emptied.set()
        return pages

    monkeypatch.setattr(checkpoint, "_copy", copy_and_note)
    writer: Writer[int] = Writer(sqlite_url, lambda items: None, lambda items, error: None)
    writer.submit(a_submission(1), 1)

    assert is_emptied.wait(20)
    writer.close()
    assert modes[:2] == ["PASSIVE", "RESTART"]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        pytest.param(
            QueryAccounting(filter=JobFilter(users=("a",)), start_at=9.0), "ix_job_user_name", id="own jobs of today"
        ),
        pytest.param(QueryAccounting(filter=JobFilter(names=("a",)), start_at=9.0), "ix_job_name", id="by name"),
        pytest.param(QueryAccounting(start_at=9.0, end_at=10.0), "ix_job_ended_at", id="everybody's jobs of today"),
        pytest.param(QueryAccounting(filter=JobFilter(states=("PENDING",))), "ix_job_is_active", id="what waits now"),
        pytest.param(
            QueryAccounting(filter=JobFilter(states=("FAILED",)), start_at=9.0, end_at=10.0),
            "ix_job_ended_at",
            id="what failed today",
        ),
    ],
)
def test_sacct_finds_its_jobs_by_an_index(sqlite_url: str, query: QueryAccounting, index: str) -> None:
    """A table of years is not walked for the jobs of a day."""
    engine = open_engine(sqlite_url)

    plan = explain(engine, select(tables.job.c.job_id).where(conditions(query, tables.job)))

    assert index in plan
    assert "SCAN" not in plan
    engine.dispose()


def explain(engine: Engine, query: "Select[int]") -> str:
    compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        return "\n".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
