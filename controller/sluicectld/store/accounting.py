"""sacct's question: jobs of any age with their steps, in order of id, a chunk at a time.

First come the ids of what SQL can select, then, chunk by chunk, the records.  Every statement has its own short
transaction: a slow reader of the answer holds nothing in the database.  A job that changes meanwhile is given as it
is when its chunk is read, if it is still selected then.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from sqlalchemy import Connection, Engine, Table, and_, select

from sluice.jobid_spec import JobIdSpec
from sluice.model.base import BATCH_STEP, EXTERN_STEP, INTERACTIVE_STEP
from sluice.model.job import Job
from sluice.model.step import Step
from sluice.wire.messages import AccountingRow, QueryAccounting

from . import records, tables
from .read import reading
from .rows import node_list
from .selection import conditions, named, parse_ids, step_test_of, test_of

#: Rows of one chunk, as one message takes them.
CHUNK_ROWS = 500
#: Ids that one statement names.
_IDS_PAGE = 5_000

#: Steps are listed in this order, the numbered ones after them.
_STEP_RANKS: dict[int, int] = {BATCH_STEP: -3, INTERACTIVE_STEP: -2, EXTERN_STEP: -1}

RunKey = tuple[int, int]  # job id, attempt


def read_accounting(
    engine: Engine, query: QueryAccounting, *, chunk_rows: int = CHUNK_ROWS
) -> Iterator[list[AccountingRow]]:
    """Yield the rows of *query* in order of job id and attempt; no chunk is empty.

    Whom the caller may see is decided before: no users and no uids means everybody's jobs.
    Raises InvalidRequest for a bad id or hostlist, before the first chunk; StorageError.
    """
    specs = parse_ids(query.filter)
    is_wanted, is_step_wanted = test_of(query, specs), step_test_of(specs)
    ids = _select_ids(engine, query, specs)
    for start in range(0, len(ids), chunk_rows):
        chunk = _read_chunk(engine, query, ids[start : start + chunk_rows], is_wanted, is_step_wanted)
        if chunk:
            yield chunk


def _select_ids(engine: Engine, query: QueryAccounting, specs: Sequence[JobIdSpec]) -> "array[int]":
    """Return the ids of the jobs that SQL selects, ascending; compact, for there may be millions."""
    found: set[int] = set()
    numbers = sorted({spec.job_id + (spec.component or 0) for spec in specs})
    with reading(engine) as connection:
        for table in _tables(query):
            # Sorted here: asked for order, SQLite would walk the whole table by its key.
            ids = select(table.c.job_id).where(conditions(query, table))
            for start in range(0, len(numbers), _IDS_PAGE):
                page = numbers[start : start + _IDS_PAGE]
                page += _components_of(connection, page, query.whole_het)
                found.update(connection.scalars(ids.where(named(page, table))))
            if not specs:
                found.update(connection.scalars(ids))
    return array("q", sorted(found))


def _components_of(connection: Connection, ids: Sequence[int], is_whole: bool | None) -> list[int]:
    """Return the ids of the components that are meant with these jobs.

    is_whole: all components with any; None: with their leader; False: only those that are named.
    """
    if is_whole is False:
        return []
    column = tables.job.c
    texts = select(column.record).where(column.job_id.in_(ids), column.record.contains('"het_size":'))
    places = [records.decode_place(text) for text in connection.scalars(texts)]
    leaders = {each.het_job_id: each.het_size for each in places if is_whole or each.het_offset == 0}
    return [leader + offset for leader, size in leaders.items() for offset in range(size)]


def _read_chunk(
    engine: Engine,
    query: QueryAccounting,
    ids: Sequence[int],
    is_wanted: Callable[[Job], bool],
    is_step_wanted: Callable[[Job, int], bool],
) -> list[AccountingRow]:
    with reading(engine) as connection:
        jobs = _jobs(connection, query, ids)
        steps = _steps(connection, ids) if query.with_steps else {}
    rows: list[AccountingRow] = []
    for key, job in sorted(jobs.items(), key=itemgetter(0)):
        if is_wanted(job):
            rows.append(_row(job, [step for step in steps.get(key, ()) if is_step_wanted(job, step.step_id)]))
    return rows


def _row(job: Job, steps: Iterable[Step]) -> AccountingRow:
    return AccountingRow(
        job=job,
        steps=tuple(sorted(steps, key=lambda step: _STEP_RANKS.get(step.step_id, step.step_id))),
        nodes=node_list(job.nodes) if job.allocation else "",
        reason=job.reason.value,
    )


def _jobs(connection: Connection, query: QueryAccounting, ids: Sequence[int]) -> dict[RunKey, Job]:
    texts: dict[RunKey, tuple[int, str]] = {}
    for table in _tables(query):
        column = table.c
        runs = select(column.job_id, column.attempt, column.spec_id, column.record)
        for row in connection.execute(runs.where(and_(column.job_id.in_(ids), conditions(query, table)))):
            texts[row.job_id, row.attempt] = row.spec_id, row.record
    spec = tables.job_spec.c
    spec_ids = {spec_id for spec_id, _ in texts.values()}
    rows = connection.execute(select(spec.spec_id, spec.spec).where(spec.spec_id.in_(spec_ids)))
    specs = {row.spec_id: records.decode_spec(row.spec) for row in rows}
    return {key: records.decode_job(record, specs[spec_id]) for key, (spec_id, record) in texts.items()}


def _steps(connection: Connection, ids: Sequence[int]) -> dict[RunKey, list[Step]]:
    steps: dict[RunKey, list[Step]] = defaultdict(list)
    for record in connection.scalars(select(tables.step.c.record).where(tables.step.c.job_id.in_(ids))):
        step = records.decode_step(record)
        steps[step.job_id, step.attempt].append(step)
    return steps


def _tables(query: QueryAccounting) -> tuple[Table, ...]:
    """Earlier runs first: a run that is requeued between two statements shows in its latest form."""
    return (tables.job_attempt, tables.job) if query.with_duplicates else (tables.job,)
