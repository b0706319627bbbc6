"""The last runs of each user, as predictions begin with them."""

from msgspec.structs import replace
from sqlalchemy import Engine

from sluice.model.job import Job
from sluice.model.states import JobState
from sluicectld.store.batch import Batch
from sluicectld.store.runs import read_last_runs
from sluicectld.store.save import save
from tests.controller.store.store_records import a_job, a_spec


def a_run(job_id: int, user: str, ended_at: float) -> Job:
    """A job that ran for 100 s, 40 of them suspended."""
    spec = a_spec(user=user, uid=1000 + len(user))
    ran = {"started_at": ended_at - 100.0, "ended_at": ended_at, "suspended_s": 40.0}
    return replace(a_job(job_id, spec), state=JobState.COMPLETED, spec_id=job_id, **ran)


def save_jobs(engine: Engine, *jobs: Job) -> None:
    with engine.begin() as connection:
        save(connection, Batch(jobs={job.id: job for job in jobs}, specs={job.id: job.spec for job in jobs}))


def test_of_each_user_the_last_runs_are_read_in_the_order_of_their_ends(engine: Engine) -> None:
    ends = {1: ("ann", 500.0), 2: ("robert", 400.0), 3: ("ann", 300.0), 4: ("ann", 600.0)}
    save_jobs(engine, *(a_run(job_id, *each) for job_id, each in ends.items()))

    runs = read_last_runs(engine, user_runs_max=2)

    assert [(run.job_id, run.uid, run.ended_at, run.run_s) for run in runs] == [
        (2, 1006, 400.0, 60.0),
        (1, 1003, 500.0, 60.0),
        (4, 1003, 600.0, 60.0),
    ]


def test_a_job_that_never_ran_is_no_run(engine: Engine) -> None:
    cancelled = replace(a_run(1, "ann", 500.0), started_at=None, state=JobState.CANCELLED)
    save_jobs(engine, cancelled, a_job(2, a_spec()))

    assert read_last_runs(engine, user_runs_max=2) == []
