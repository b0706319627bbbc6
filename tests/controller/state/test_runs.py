"""What past runs tell of jobs that wait."""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.states import JobState
from sluicectld.scheduler.predict import FinishedRun
from sluicectld.state.runs import PastRun, RunBook
from tests.builders import make_spec


def pending(job_id: int, limit_s: int = 3600) -> Job:
    return Job(id=job_id, spec=make_spec(1), limit_s=limit_s, state=JobState.PENDING)


def ended(job: Job, run_s: float, state: JobState = JobState.COMPLETED) -> Job:
    return replace(job, state=state, started_at=100.0, ended_at=100.0 + run_s)


def test_a_job_is_predicted_from_the_last_runs_of_its_user():
    book = RunBook()
    for job_id, run_s in ((1, 600.0), (2, 200.0)):
        book.note(None, pending(job_id))
        book.note(pending(job_id), ended(pending(job_id), run_s))

    book.note(None, pending(3))

    assert book.predicted_s == {3: 400.0}


def test_a_new_limit_is_predicted_anew_and_a_start_ends_the_prediction():
    book = RunBook()
    book.note(None, ended(pending(1), 1800.0))
    job = pending(2)
    book.note(None, job)

    longer = replace(job, limit_s=7200)
    book.note(job, longer)
    assert book.predicted_s == {2: 3600.0}

    book.note(longer, replace(longer, state=JobState.RUNNING))
    assert book.predicted_s == {}


def test_a_run_that_a_node_cut_short_tells_nothing():
    book = RunBook()
    book.note(None, ended(pending(1), 5.0, JobState.NODE_FAIL))
    book.note(None, pending(2))

    assert book.predicted_s == {}


def test_after_a_restart_a_job_that_waits_is_predicted_from_what_had_ended_when_it_came():
    book = RunBook()
    uid = pending(1).spec.uid
    past = [PastRun(at, uid, FinishedRun(3600, run_s)) for at, run_s in ((10.0, 600.0), (20.0, 200.0), (40.0, 2000.0))]

    book.recall(past, [replace(pending(7), submitted_at=30.0), replace(pending(8), submitted_at=50.0)])

    assert book.predicted_s == {7: 400.0, 8: 1100.0}
    assert [run.run_s for run in book.runs_by_uid[uid]] == [2000.0, 200.0]
