"""The writer's promises: one transaction for all that wait, items back after the commit, no gap in the journal."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from sqlalchemy import Engine, func, select

from sluice.errors import StorageError
from sluicectld.store import tables
from sluicectld.store.batch import Batch
from sluicectld.store.database import open_engine
from sluicectld.store.writer import Writer
from tests.controller.store.store_records import a_job, a_submission, an_event, running

WAIT_S = 20


class Results:
    """Each item is a Future: committed, or failed with the error."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def on_committed(self, items: list["Future[None]"]) -> None:
        self.groups.append(len(items))
        for item in items:
            item.set_result(None)

    def on_failed(self, items: list["Future[None]"], error: StorageError) -> None:
        for item in items:
            item.set_exception(error)


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def writer(database_url: str, results: Results) -> Iterator[Writer["Future[None]"]]:
    writer = Writer(database_url, results.on_committed, results.on_failed)
    yield writer
    writer.close()


def submit(writer: Writer["Future[None]"], batch: Batch) -> "Future[None]":
    item: Future[None] = Future()
    writer.submit(batch, item)
    return item


def sequences(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(tables.event.c.sequence).order_by(tables.event.c.sequence)))


def test_an_item_comes_back_when_its_batch_is_committed(writer: Writer["Future[None]"], engine: Engine) -> None:
    submit(writer, a_submission(1)).result(WAIT_S)

    assert sequences(engine) == [1]


def test_all_that_wait_share_one_commit(database_url: str) -> None:
    """While the first commit's callback holds the thread, ten more gather."""
    results, is_held = Results(), threading.Event()

    def on_committed(items: list["Future[None]"]) -> None:
        is_held.wait(WAIT_S)
        results.on_committed(items)

    writer = Writer(database_url, on_committed, results.on_failed)
    first = submit(writer, a_submission(1))
    while writer.depth:
        pass
    others = [submit(writer, a_submission(number)) for number in range(2, 12)]
    is_held.set()
    for item in [first, *others]:
        item.result(WAIT_S)
    writer.close()

    assert results.groups == [1, 10]
    assert writer.statistics.commits == 2
    assert writer.statistics.items == 11
    assert writer.statistics.group_max == 10


def test_the_last_record_of_a_group_counts(writer: Writer["Future[None]"], engine: Engine) -> None:
    started = Batch(events=[an_event(2, "JobStarted")], jobs={1: running(a_job(1))})

    submit(writer, a_submission(1))
    submit(writer, started).result(WAIT_S)

    with engine.connect() as connection:
        assert connection.scalar(select(tables.job.c.state)) == "RUNNING"


def test_closing_commits_what_waits(database_url: str, results: Results, engine: Engine) -> None:
    writer = Writer(database_url, results.on_committed, results.on_failed)
    items = [submit(writer, a_submission(number)) for number in range(1, 301)]

    writer.close()

    assert all(item.done() for item in items)
    assert sequences(engine) == list(range(1, 301))
    with pytest.raises(StorageError, match="closed"):
        submit(writer, a_submission(301))


def test_a_gap_in_the_journal_is_refused_and_the_writer_lives(writer: Writer["Future[None]"], engine: Engine) -> None:
    submit(writer, a_submission(1)).result(WAIT_S)

    with pytest.raises(StorageError, match="events 2 to 2 are missing before event 3"):
        submit(writer, a_submission(3)).result(WAIT_S)
    submit(writer, a_submission(2)).result(WAIT_S)
    submit(writer, a_submission(3)).result(WAIT_S)

    assert sequences(engine) == [1, 2, 3]


def test_a_batch_that_is_submitted_again_is_acknowledged_and_not_written_twice(
    writer: Writer["Future[None]"], engine: Engine
) -> None:
    submit(writer, a_submission(1)).result(WAIT_S)

    submit(writer, a_submission(1)).result(WAIT_S)

    assert sequences(engine) == [1]


def test_the_events_of_a_second_controller_are_noticed(writer: Writer["Future[None]"], engine: Engine) -> None:
    submit(writer, a_submission(1)).result(WAIT_S)
    with engine.begin() as connection:
        connection.execute(tables.event.insert().values(an_event(2)._asdict() | {"payload": "{}"}))

    with pytest.raises(StorageError, match="written by another controller"):
        submit(writer, a_submission(2)).result(WAIT_S)


def test_a_value_that_no_database_takes_fails_its_group_alone(writer: Writer["Future[None]"], engine: Engine) -> None:
    broken = Batch(events=[an_event(1)], jobs={1: a_job(1, reason_text="\ud800")})

    with pytest.raises(StorageError):
        submit(writer, broken).result(WAIT_S)
    submit(writer, a_submission(1)).result(WAIT_S)

    assert sequences(engine) == [1]


def test_a_full_queue_refuses(database_url: str, results: Results) -> None:
    is_held = threading.Event()
    writer: Writer[int] = Writer(
        database_url, lambda items: is_held.wait(WAIT_S) and None, lambda items, error: None, queue_max=1
    )
    writer.submit(a_submission(1), 1)
    while writer.depth:
        pass
    writer.submit(a_submission(2), 2)

    with pytest.raises(StorageError, match="1 transactions wait"):
        writer.submit(a_submission(3), 3)
    is_held.set()
    writer.close()


def test_a_failing_callback_does_not_end_the_writer(database_url: str, engine: Engine) -> None:
    def on_committed(items: list[int]) -> None:
        raise RuntimeError("event loop is closed")

    writer: Writer[int] = Writer(database_url, on_committed, lambda items, error: None)
    for number in (1, 2, 3):
        writer.submit(a_submission(number), number)
    writer.close()

    assert sequences(engine) == [1, 2, 3]


def test_a_reader_sees_the_old_state_and_does_not_hold_up_the_writer(
    writer: Writer["Future[None]"], database_url: str
) -> None:
    submit(writer, a_submission(1)).result(WAIT_S)
    reader = open_engine(database_url, is_read_only=True)
    count = select(func.count()).select_from(tables.job)

    with reader.connect() as connection:
        assert connection.scalar(count) == 1
        submit(writer, a_submission(2)).result(WAIT_S)
        assert connection.scalar(count) == 1
    reader.dispose()


def test_readers_cannot_write(database_url: str) -> None:
    reader = open_engine(database_url, is_read_only=True)

    with pytest.raises(Exception, match=r"readonly database|read-only transaction"), reader.begin() as connection:
        connection.execute(tables.meta.insert().values(key="epoch", value="9"))
    reader.dispose()
