"""Single questions: scripts, environments, ends of streams, jobs by id, the journal."""

import pytest
from sqlalchemy import Engine

from sluice.errors import NotFound
from sluice.wire.messages import StreamTail
from sluicectld.store.batch import Batch
from sluicectld.store.read import (
    read_environments,
    read_events,
    read_job_script,
    read_jobs,
    read_scripts,
    read_tails,
)
from sluicectld.store.save import save
from tests.controller.store.store_records import a_job, a_spec, a_submission, an_event, ended

SCRIPT = b"#!/bin/sh\nprintf '\\0\xff'\n"


def save_all(engine: Engine, batch: Batch) -> None:
    with engine.begin() as connection:
        save(connection, batch)


def test_the_script_of_a_job_is_byte_for_byte_the_submitted_one(engine: Engine) -> None:
    job = a_job(1, a_spec(script_digest="abc"))
    save_all(engine, Batch(jobs={1: job}, specs={1: job.spec}, scripts={"abc": SCRIPT}))

    assert read_job_script(engine, 1) == SCRIPT
    assert read_scripts(engine, ["abc", "none"]) == {"abc": SCRIPT}


def test_a_script_is_stored_once_however_often_it_is_submitted(engine: Engine) -> None:
    save_all(engine, Batch(scripts={"abc": SCRIPT}, environments={"e": b"A=1"}))
    save_all(engine, Batch(scripts={"abc": SCRIPT}, environments={"e": b"A=1", "f": b""}))

    assert read_environments(engine, ["e", "f"]) == {"e": b"A=1", "f": b""}


def test_a_job_without_script_and_an_unknown_job_are_told_apart(engine: Engine) -> None:
    save_all(engine, a_submission(1))

    with pytest.raises(NotFound, match="no script is stored for job 1"):
        read_job_script(engine, 1)
    with pytest.raises(NotFound, match="no job 2"):
        read_job_script(engine, 2)


def test_an_array_is_all_its_parts(engine: Engine) -> None:
    spec = a_spec()
    jobs = {number: a_job(number, spec, spec_id=5, array_job_id=5, array_task_id=number) for number in (5, 6, 8)}
    jobs[7] = ended(a_job(7, spec, spec_id=5), at=2000.0)
    save_all(engine, Batch(jobs=jobs, specs={5: spec}))

    assert read_jobs(engine, 5) == [jobs[5], jobs[6], jobs[8]]
    assert read_jobs(engine, 7) == [jobs[7]]
    assert read_jobs(engine, 9) == []


def test_the_ends_of_the_last_runs_streams_are_kept(engine: Engine) -> None:
    def tail(node: str, text: bytes) -> StreamTail:
        return StreamTail(step_id=-5, node=node, stream="stdout", path="/tmp/o", tail=text, error="no such directory")

    save_all(engine, Batch(tails=[(1, 0, tail("n1", b"old")), (1, 1, tail("n2", b"b")), (1, 1, tail("n1", b"a"))]))

    assert read_tails(engine, 1) == [tail("n1", b"a"), tail("n2", b"b")]
    assert read_tails(engine, 2) == []


def test_the_journal_is_read_from_any_number_on(engine: Engine) -> None:
    events = [an_event(number, job_id=number % 3 or None) for number in range(1, 4_102)]
    save_all(engine, Batch(events=events))

    assert list(read_events(engine)) == events
    assert list(read_events(engine, 4_100)) == events[-2:]
    assert list(read_events(engine, 5_000)) == []
