"""Single questions to what is stored, each on a connection of its own that is given back at once.

The functions block: a daemon calls them in threads.  They never wait for the writer, and never hold it up.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from sluice.errors import NotFound
from sluice.model.job import Job
from sluice.wire.messages import StreamTail

from . import records, tables
from .batch import StoredEvent
from .database import storage_error

#: Events of one page of the journal.
_EVENTS_PAGE = 2_000
_NO_SCRIPT = "job script retrieval failed: no script is stored for job {}"


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for a few statements; the driver's errors become StorageError."""
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error


def read_jobs(engine: Engine, job_id: int) -> list[Job]:
    """Return the job *job_id*, or all stored parts of that array, in order of id; empty if there is none."""
    job, spec = tables.job.c, tables.job_spec.c
    is_wanted = or_(job.job_id == job_id, and_(job.array_job_id == job_id, tables.job_is_of_array))
    query = select(job.record, spec.spec).join_from(tables.job, tables.job_spec, job.spec_id == spec.spec_id)
    with reading(engine) as connection:
        rows = connection.execute(query.where(is_wanted).order_by(job.job_id)).all()
    return [records.decode_job(record, records.decode_spec(text)) for record, text in rows]


def read_job_script(engine: Engine, job_id: int) -> bytes:
    """Return the script that *job_id* was submitted with; raises NotFound when there is none."""
    jobs = read_jobs(engine, job_id)
    if not jobs:
        raise NotFound(f"no job {job_id} is stored", code="unknown_job")
    script = read_scripts(engine, [jobs[0].spec.script_digest]).get(jobs[0].spec.script_digest)
    if script is None:
        raise NotFound(_NO_SCRIPT.format(job_id))
    return script


def read_scripts(engine: Engine, digests: Iterable[str]) -> dict[str, bytes]:
    """Return the scripts of those *digests* that are stored."""
    script = tables.script.c
    with reading(engine) as connection:
        rows = connection.execute(select(script.digest, script.text).where(script.digest.in_(list(digests)))).all()
    return {digest: bytes(text) for digest, text in rows}


def read_environments(engine: Engine, digests: Iterable[str]) -> dict[str, bytes]:
    """Return the environments of those *digests* that are stored."""
    environment = tables.environment.c
    query = select(environment.digest, environment.data).where(environment.digest.in_(list(digests)))
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return {digest: bytes(data) for digest, data in rows}


def read_tails(engine: Engine, job_id: int) -> list[StreamTail]:
    """Return the kept ends of the streams of the job's last run that has any, by step, node and stream."""
    tail = tables.stream_tail.c
    columns = (tail.attempt, tail.step_id, tail.node, tail.stream, tail.path, tail.tail, tail.is_cut, tail.error)
    query = select(*columns).where(tail.job_id == job_id).order_by(tail.attempt, tail.step_id, tail.node, tail.stream)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        StreamTail(
            step_id=row.step_id,
            node=row.node,
            stream=row.stream,
            path=row.path,
            tail=bytes(row.tail),
            is_cut=row.is_cut,
            error=row.error,
        )
        for row in rows
        if row.attempt == rows[-1].attempt
    ]


def read_events(engine: Engine, first_sequence: int = 0) -> Iterator[StoredEvent]:
    """Yield the journal from *first_sequence* on, in order, as far as it goes now; a page at a time."""
    while page := _events_page(engine, first_sequence):
        yield from page
        first_sequence = page[-1].sequence + 1


def _events_page(engine: Engine, first_sequence: int) -> list[StoredEvent]:
    event = tables.event
    query = select(event).where(event.c.sequence >= first_sequence).order_by(event.c.sequence).limit(_EVENTS_PAGE)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [StoredEvent(row.sequence, row.at, row.actor, row.kind, row.job_id, row.payload.encode()) for row in rows]
