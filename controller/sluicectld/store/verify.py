"""Do the tables say what the journal says?  The comparing half of `sluice verify`.

The journal is replayed by a function that the state room gives; what comes out is compared with the rows, record by
record, and each row's columns with its record.  Every difference is a sentence; an empty list is good news.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Engine, Table, select

from sluice.errors import StorageError
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.model.step import Step

from . import records, rows, tables
from .batch import StepKey, StoredEvent
from .read import reading
from .rights import unguarded_state

#: More are not told; the first ones say enough.
DIFFERENCES_MAX = 1_000

Compared = Job | Step | Node | Partition | Reservation
_ABSENT = object()


class Rebuilt(Protocol):
    """What a replay of the whole journal gives; ended jobs may be among it or not."""

    @property
    def jobs(self) -> Mapping[int, Job]: ...
    @property
    def steps(self) -> Mapping[StepKey, Step]: ...
    @property
    def nodes(self) -> Mapping[str, Node]: ...
    @property
    def partitions(self) -> Mapping[str, Partition]: ...
    @property
    def reservations(self) -> Mapping[str, Reservation]: ...


def verify(engine: Engine, replay: Callable[[Iterable[StoredEvent]], Rebuilt]) -> list[str]:
    """Return the differences between the journal and the tables, at most DIFFERENCES_MAX.

    Reads all of it in one transaction: what a running controller commits meanwhile is not seen.  Raises StorageError.
    """
    path = engine.url.database or ""
    before = unguarded_state(path) if engine.dialect.name == "sqlite" else None
    with reading(engine) as connection:
        gaps: list[str] = []
        rebuilt = replay(_journal(connection, gaps))
        differences = [*gaps, *islice(_differences(connection, rebuilt), DIFFERENCES_MAX)][:DIFFERENCES_MAX]
    if before is not None and before != unguarded_state(path):
        raise StorageError(f"database {path} was changed while it was read without its log; try again")
    return differences


def _journal(connection: Connection, gaps: list[str]) -> Iterator[StoredEvent]:
    """Yield all events in order; what is missing between them is told in *gaps*."""
    event = tables.event
    query = select(event).order_by(event.c.sequence)
    previous = None
    for row in connection.execution_options(yield_per=2_000).execute(query):
        if previous is not None and row.sequence != previous + 1:
            gaps.append(f"journal: events {previous + 1} to {row.sequence - 1} are missing")
        previous = row.sequence
        yield StoredEvent(row.sequence, row.at, row.actor, row.kind, row.job_id, row.payload.encode())


def _differences(connection: Connection, rebuilt: Rebuilt) -> Iterator[str]:
    specs = _Specs(connection)
    jobs = {row.job_id: (specs.job_of(row), row) for row in connection.execute(select(tables.job))}
    yield from specs.problems
    yield from _compare("job", tables.job, rows.job_row, rebuilt.jobs, jobs)
    steps = {
        (row.job_id, row.attempt, row.step_id): (records.decode_step(row.record), row)
        for row in connection.execute(select(tables.step))
    }
    yield from _compare("step", tables.step, rows.step_row, rebuilt.steps, steps)
    nodes = {row.name: (records.decode_node(row.record), row) for row in connection.execute(select(tables.node))}
    yield from _compare("node", tables.node, rows.node_row, rebuilt.nodes, nodes)
    table = tables.partition_
    partitions = {row.name: (records.decode_partition(row.record), row) for row in connection.execute(select(table))}
    yield from _compare("partition", table, rows.partition_row, rebuilt.partitions, partitions)
    table = tables.reservation
    kept = {row.name: (records.decode_reservation(row.record), row) for row in connection.execute(select(table))}
    yield from _compare("reservation", table, rows.reservation_row, rebuilt.reservations, kept)


class _Specs:
    """Decodes each spec once; a job whose spec is not stored is a problem of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._specs: dict[int, JobSpec] = {}
        self.problems: list[str] = []

    def job_of(self, row: Any) -> Job:
        spec = self._specs.get(row.spec_id)
        if spec is None:
            spec_table = tables.job_spec.c
            text = self._connection.scalar(select(spec_table.spec).where(spec_table.spec_id == row.spec_id))
            if text is None:
                self.problems.append(f"job {row.job_id}: its spec {row.spec_id} is not stored")
                text = '{"name":"","uid":0,"gid":0,"user":""}'
            spec = self._specs[row.spec_id] = records.decode_spec(text)
        return records.decode_job(row.record, spec)


def _compare(
    noun: str,
    table: Table,
    row_of: Callable[[Any], rows.Row],
    expected: Mapping[Any, Compared],
    stored: Mapping[Any, tuple[Compared, Any]],
) -> Iterator[str]:
    """Yield what differs between the records that the journal gives and those that are stored, and in their rows."""
    for key in sorted(expected.keys() | stored.keys()):
        name = f"{noun} {'.'.join(map(str, key)) if isinstance(key, tuple) else key}"
        if key not in stored:
            yield f"{name}: in the journal, not in the table"
        elif key not in expected:
            yield f"{name}: in the table, not in the journal"
        else:
            record, row = stored[key]
            yield from _record_differences(name, expected[key], record)
            yield from _column_differences(name, table, row_of(record), row)


def _record_differences(name: str, expected: Compared, stored: Compared) -> Iterator[str]:
    if expected == stored:
        return
    for field in msgspec.structs.fields(type(expected)):
        wanted, found = getattr(expected, field.name), getattr(stored, field.name, _ABSENT)
        if wanted != found:
            yield f"{name}: {field.name} is {_shown(wanted)} by the journal, {_shown(found)} in the table"


def _column_differences(name: str, table: Table, expected: rows.Row, row: Any) -> Iterator[str]:
    for column, wanted, found in zip(table.columns, expected, row, strict=True):
        if wanted != found:
            yield f"{name}: column {column.name} is {_shown(found)}, its record says {_shown(wanted)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
