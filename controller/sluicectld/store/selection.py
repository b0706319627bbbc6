"""sacct's filter: as SQL, as far as columns can say it, and as a test of the record for the rest.

With a window, a state is asked of the time: a job counts as RUNNING when it ran at some moment within the window, as
COMPLETED when it ended within it.  Without a window it is the state now.
"""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import ColumnElement, Table, and_, false, func, or_, true

from sluice import array_spec, hostlist, license_spec
from sluice.jobid_spec import JobIdSpec, parse_list
from sluice.model.base import SPECIAL_STEP_NAMES
from sluice.model.job import Job
from sluice.model.states import ACTIVE_STATES, ENDED_STATES, JobState
from sluice.wire.messages import JobFilter, QueryAccounting

from . import tables

Condition = ColumnElement[bool]

_UID_DIGITS_MAX = 10


def parse_ids(wanted: JobFilter) -> tuple[JobIdSpec, ...]:
    """Return the ids of the filter; raises InvalidRequest for one that is none."""
    return tuple(spec for text in wanted.ids for spec in parse_list(text))


def conditions(query: QueryAccounting, table: Table) -> Condition:
    """Return what SQL can say of *query*, but for its ids; *table* is job or job_attempt."""
    wanted, column = query.filter, table.c
    tests: list[Condition] = [true()]
    if wanted.users or query.uids:
        tests.append(_is_of_users(table, wanted.users, query.uids))
    for values, of in (
        (wanted.names, column.name),
        (wanted.partitions, column.partition),
        (wanted.accounts, column.account),
        (wanted.qos, column.qos),
    ):
        if values:
            tests.append(of.in_(values))
    if not wanted.states:
        tests.append(_existed(table, query.start_at, query.end_at))
    else:
        tests.append(or_(*(_was(word.upper(), table, query.start_at, query.end_at) for word in wanted.states)))
    return and_(*tests)


def named(ids: Iterable[int], table: Table) -> Condition:
    """Return the condition that a job has one of *ids*, or belongs to an array that has."""
    numbers = list(ids)
    of_array = table.c.array_job_id.in_(numbers)
    # Word by word the condition of the partial index.
    return or_(table.c.job_id.in_(numbers), and_(of_array, tables.job_is_of_array) if table is tables.job else of_array)


def test_of(query: QueryAccounting, ids: Sequence[JobIdSpec]) -> Callable[[Job], bool]:
    """Return the test for what columns cannot say: array tasks, nodes, reservations, licenses."""
    wanted = query.filter
    tests: list[Callable[[Job], bool]] = []
    if any(spec.tasks is not None or spec.component is not None for spec in ids):
        tests.append(lambda job: any(_names(spec, job) for spec in ids))
    if wanted.nodes:
        nodes = {name for text in wanted.nodes for name in hostlist.expand(text)}
        tests.append(lambda job: not nodes.isdisjoint(job.nodes))
    if wanted.reservations:
        tests.append(lambda job: job.spec.reservation in wanted.reservations)
    if wanted.licenses:
        licenses = set(wanted.licenses)
        tests.append(lambda job: not licenses.isdisjoint(_license_names(job)))
    return lambda job: all(test(job) for test in tests)


def step_test_of(ids: Sequence[JobIdSpec]) -> Callable[[Job, int], bool]:
    """Return the test for a job's step: named itself, or with the whole job."""
    if all(spec.step is None for spec in ids):
        return lambda job, step_id: True
    return lambda job, step_id: any(
        _names(spec, job) and spec.step in (None, SPECIAL_STEP_NAMES.get(step_id, str(step_id))) for spec in ids
    )


def _names(spec: JobIdSpec, job: Job) -> bool:
    if spec.component is not None:
        return spec.job_id == job.het_job_id and spec.component == job.het_offset
    if spec.tasks is None:
        return spec.job_id in (job.id, job.array_job_id, job.het_job_id)
    if spec.job_id != job.array_job_id:
        return False
    if job.pending_array is not None:
        return bool(array_spec.intersect(job.pending_array.ranges, spec.tasks))
    index = job.array_task_id
    return index is not None and bool(array_spec.intersect(((index, index, 1),), spec.tasks))


def _license_names(job: Job) -> set[str]:
    return set(license_spec.names(job.spec.licenses))


def _is_of_users(table: Table, users: Sequence[str], uids: Sequence[int]) -> Condition:
    """By name or by number; a name may be a number too."""
    numbers = [*uids, *(int(user) for user in users if user.isdecimal() and len(user) <= _UID_DIGITS_MAX)]
    # No empty list: SQLite would not use the index of the other one.
    tests = [of.in_(values) for of, values in ((table.c.user_name, users), (table.c.uid, numbers)) if values]
    return or_(*tests)


def _existed(table: Table, start_at: float | None, end_at: float | None) -> Condition:
    """Submitted before the window's end, not ended before its start."""
    return _overlaps(table.c.submitted_at, table.c.ended_at, start_at, end_at)


def _was(word: str, table: Table, start_at: float | None, end_at: float | None) -> Condition:
    """In the state *word* at some time within the window; without a window: now."""
    column = table.c
    if word == "COMPLETING":
        return and_(column.is_active, column.state.in_(sorted(ENDED_STATES)))
    if word not in JobState.__members__:
        return false()
    if start_at is None and end_at is None:
        is_now = column.state == word
        # The few active jobs have an index; an earlier run is never active.
        return and_(is_now, tables.job_is_active) if table is tables.job and word in ACTIVE_STATES else is_now
    if word == JobState.PENDING:
        return _overlaps(column.submitted_at, func.coalesce(column.started_at, column.ended_at), start_at, end_at)
    if word == JobState.RUNNING:
        ran = _overlaps(column.started_at, column.ended_at, start_at, end_at)
        return and_(column.started_at.is_not(None), ran)
    if word == JobState.SUSPENDED:
        return and_(column.state == word, _existed(table, start_at, end_at))
    ended_within = [true() if start_at is None else column.ended_at >= start_at]
    ended_within.append(true() if end_at is None else column.ended_at <= end_at)
    return and_(column.state == word, *ended_within)


def _overlaps(
    begin: ColumnElement[float], end: ColumnElement[float], start_at: float | None, end_at: float | None
) -> Condition:
    """[begin, end] and [start_at, end_at] share a moment; an end that is NULL has not come."""
    tests: list[Condition] = [true()]
    if end_at is not None:
        tests.append(begin <= end_at)
    if start_at is not None:
        tests.append(or_(end.is_(None), end >= start_at))
    return and_(*tests)
