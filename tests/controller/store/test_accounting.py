"""sacct's question: who, when, in which state, which ids; in order, in chunks, with steps and earlier runs."""

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import Engine

from sluice.errors import InvalidRequest
from sluice.model.job import Job, PendingArray
from sluice.model.states import JobState
from sluice.wire.messages import AccountingRow, JobFilter, QueryAccounting
from sluicectld.store.accounting import read_accounting
from sluicectld.store.batch import Batch
from sluicectld.store.save import save
from tests.controller.store.store_records import a_job, a_spec, a_step, an_ended_step, ended, running

Ask = Callable[..., list[int]]


def store(engine: Engine, *jobs: Job, **more: object) -> None:
    batch = Batch(jobs={job.id: job for job in jobs}, specs={job.spec_id: job.spec for job in jobs})
    for name, value in more.items():
        setattr(batch, name, value)
    with engine.begin() as connection:
        save(connection, batch)


def rows(engine: Engine, chunk_rows: int = 500, **query: object) -> list[AccountingRow]:
    fields = {name: query.pop(name) for name in list(query) if name in JobFilter.__struct_fields__}
    asked = QueryAccounting(filter=JobFilter(**fields), **query)
    return [row for chunk in read_accounting(engine, asked, chunk_rows=chunk_rows) for row in chunk]


@pytest.fixture
def ask(engine: Engine) -> Ask:
    return lambda **query: [row.job.id for row in rows(engine, **query)]


@pytest.fixture
def day(engine: Engine) -> None:
    """Times of submission, start and end; each job is named by what became of it."""
    done = ended(running(a_job(1, a_spec("done"), submitted_at=100.0), started_at=200.0), at=300.0)
    failed = ended(running(a_job(2, a_spec("failed", "eve", uid=7), submitted_at=400.0), started_at=500.0), at=600.0)
    failed = msgspec.structs.replace(failed, state=JobState.FAILED, exit_code=3)
    runs = running(a_job(3, a_spec("runs"), submitted_at=400.0), "n2", started_at=700.0)
    waits = a_job(4, a_spec("waits", account="physics", qos="high", reservation="maint"), submitted_at=800.0)
    cancelled = ended(a_job(5, a_spec("cancelled"), submitted_at=400.0), at=450.0, state=JobState.CANCELLED)
    store(engine, done, failed, runs, waits, cancelled)


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, [1, 2, 3, 4, 5], id="nothing asked is everything, by id"),
        pytest.param({"users": ("eve",)}, [2], id="by user"),
        pytest.param({"users": ("7",)}, [2], id="by a user's number as text"),
        pytest.param({"uids": (7,)}, [2], id="by a user's number"),
        pytest.param({"users": ("eve",), "uids": (1001,)}, [1, 2, 3, 4, 5], id="users and numbers add up"),
        pytest.param({"names": ("done", "runs")}, [1, 3], id="by name"),
        pytest.param({"accounts": ("physics",)}, [4], id="by account"),
        pytest.param({"qos": ("high",)}, [4], id="by qos"),
        pytest.param({"reservations": ("maint",)}, [4], id="by reservation"),
        pytest.param({"partitions": ("debug",)}, [], id="by partition"),
        pytest.param({"nodes": ("n[2-3]",)}, [3], id="by node, as a hostlist"),
        pytest.param({"nodes": ("n1", "n2")}, [1, 2, 3], id="by nodes"),
        pytest.param({"states": ("RUNNING",)}, [3], id="state now"),
        pytest.param({"states": ("failed", "PENDING")}, [2, 4], id="states now"),
        pytest.param({"states": ("NONSENSE",)}, [], id="no such state"),
        pytest.param({"start_at": 0.0, "end_at": 99.0}, [], id="window before all"),
        pytest.param({"start_at": 0.0, "end_at": 100.0}, [1], id="submitted at the window's end"),
        pytest.param({"start_at": 300.0, "end_at": 350.0}, [1], id="ended at the window's start"),
        pytest.param({"start_at": 460.0, "end_at": 470.0}, [2, 3], id="waiting throughout the window"),
        pytest.param({"start_at": 650.0}, [3, 4], id="window without end"),
        pytest.param({"end_at": 400.0}, [1, 2, 3, 5], id="window without start"),
        pytest.param({"states": ("RUNNING",), "start_at": 210.0, "end_at": 510.0}, [1, 2], id="ran within the window"),
        pytest.param({"states": ("RUNNING",), "start_at": 0.0, "end_at": 110.0}, [], id="did not run yet"),
        pytest.param({"states": ("PENDING",), "start_at": 440.0, "end_at": 460.0}, [2, 3, 5], id="waited in it"),
        pytest.param({"states": ("PENDING",), "start_at": 460.0, "end_at": 470.0}, [2, 3], id="not after its cancel"),
        pytest.param({"states": ("COMPLETED",), "start_at": 250.0, "end_at": 350.0}, [1], id="ended within it"),
        pytest.param({"states": ("COMPLETED",), "start_at": 310.0, "end_at": 350.0}, [], id="ended before it"),
        pytest.param({"ids": ("2", "4,5")}, [2, 4, 5], id="by id"),
        pytest.param({"ids": ("3",), "users": ("eve",)}, [], id="filters combine"),
        pytest.param({"ids": ("99",)}, [], id="no such job"),
    ],
)
def test_filters(ask: Ask, query: dict[str, object], expected: list[int]) -> None:
    assert ask(**query) == expected


@pytest.fixture
def arrays(engine: Engine) -> None:
    """Array 10: task 1 is job 11, task 2 is job 12, tasks 3 to 8 wait.  Job 20 is of another array, 30 of none."""
    spec = a_spec()
    base = a_job(10, spec, spec_id=1, array_job_id=10, pending_array=PendingArray(ranges=((3, 8, 1),)))
    tasks = [running(a_job(10 + task, spec, spec_id=1, array_job_id=10, array_task_id=task)) for task in (1, 2)]
    other = a_job(20, spec, spec_id=1, array_job_id=20, array_task_id=1)
    store(engine, base, *tasks, other, a_job(30, spec, spec_id=1))


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        pytest.param(("10",), [10, 11, 12], id="the whole array"),
        pytest.param(("10_1",), [11], id="one task"),
        pytest.param(("10_[1-2]",), [11, 12], id="tasks"),
        pytest.param(("10_[2-4]",), [10, 12], id="a started task and waiting ones"),
        pytest.param(("10_5",), [10], id="a waiting task"),
        pytest.param(("10_9",), [], id="no such task"),
        pytest.param(("12",), [12], id="a task by its own id"),
        pytest.param(("10_1", "30"), [11, 30], id="a task and a job"),
    ],
)
def test_array_ids(ask: Ask, ids: tuple[str, ...], expected: list[int]) -> None:
    assert ask(ids=ids) == expected


def test_a_bad_id_is_refused_before_anything_is_read(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="Invalid job id x"):
        rows(engine, ids=("x",))


@pytest.fixture
def job_with_steps(engine: Engine) -> None:
    steps = [an_ended_step(1, step_id) for step_id in (1, 0, -4, -5)] + [a_step(1, -5, attempt=1)]
    job = ended(running(a_job(1)), at=1300.0)
    store(engine, job, steps={(step.job_id, step.attempt, step.step_id): step for step in steps})


@pytest.mark.usefixtures("job_with_steps")
def test_steps_come_in_the_order_of_sacct(engine: Engine) -> None:
    (row,) = rows(engine)

    assert [step.step_id for step in row.steps] == [-5, -4, 0, 1]
    assert all(step.attempt == 0 for step in row.steps)
    assert (row.nodes, row.reason) == ("n1", "None")


@pytest.mark.usefixtures("job_with_steps")
@pytest.mark.parametrize(("ids", "expected"), [(("1.0",), [0]), (("1.batch",), [-5]), (("1.1", "1"), [-5, -4, 0, 1])])
def test_a_named_step_comes_alone(engine: Engine, ids: tuple[str, ...], expected: list[int]) -> None:
    (row,) = rows(engine, ids=ids)

    assert [step.step_id for step in row.steps] == expected


@pytest.mark.usefixtures("job_with_steps")
def test_steps_are_left_out_when_not_asked_for(engine: Engine) -> None:
    (row,) = rows(engine, with_steps=False)

    assert row.steps == ()


def test_earlier_runs_of_a_requeued_job_come_when_asked_for(engine: Engine) -> None:
    first = ended(running(a_job(1)), at=1100.0, state=JobState.NODE_FAIL)
    now = running(a_job(1, attempt=1, submitted_at=1100.0), "n2")
    steps = {(1, 0, -5): an_ended_step(1), (1, 1, -5): a_step(1, attempt=1)}
    store(engine, now, attempts=[first], steps=steps)

    assert [row.job for row in rows(engine)] == [now]
    both = rows(engine, with_duplicates=True)
    assert [row.job for row in both] == [first, now]
    assert [row.steps for row in both] == [(steps[1, 0, -5],), (steps[1, 1, -5],)]
    assert [row.job for row in rows(engine, with_duplicates=True, states=("NODE_FAIL",))] == [first]
    assert [row.job for row in rows(engine, with_duplicates=True, ids=("1",))] == [first, now]


def test_chunks_hold_so_many_rows_and_are_never_empty(engine: Engine) -> None:
    store(engine, *(a_job(number, a_spec("even" if number % 2 == 0 else "odd")) for number in range(1, 26)))

    sizes = [len(chunk) for chunk in read_accounting(engine, QueryAccounting(), chunk_rows=10)]

    assert sizes == [10, 10, 5]
    assert list(read_accounting(engine, QueryAccounting(filter=JobFilter(nodes=("n9",))), chunk_rows=10)) == []


def test_jobs_that_come_while_the_answer_is_read_do_not_disturb_it(engine: Engine) -> None:
    store(engine, a_job(1), a_job(2), a_job(3))
    chunks = read_accounting(engine, QueryAccounting(filter=JobFilter(states=("PENDING",))), chunk_rows=2)

    first = next(chunks)
    store(engine, running(a_job(3)), a_job(4))

    assert [row.job.id for row in first] == [1, 2]
    assert list(chunks) == []
