"""What past runs tell of jobs that wait: the last runs of each user, and a prediction for each pending job.

Derived from the jobs as they change; after a restart from those that are stored (recall).  A prediction is made when a
job comes and stays until it starts or its limit changes.
Source: docs/decisions/prediction.md.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sluice.model.job import Job
from sluice.model.states import JobState
from sluicectld.scheduler.predict import FinishedRun, Runs, add_run, find_run, predict_run_s


class PastRun(NamedTuple):
    """A run of a user, and when it ended."""

    ended_at: float
    uid: int
    run: FinishedRun


class RunBook:
    """runs_by_uid: newest first.  predicted_s: seconds by the id of a pending job, where there is a prediction."""

    def __init__(self) -> None:
        self.runs_by_uid: dict[int, Runs] = {}
        self.predicted_s: dict[int, float] = {}

    def recall(self, past: Iterable[PastRun], jobs: Iterable[Job]) -> None:
        """Begin anew with past runs, in the order of their ends, and the jobs that there are.

        A job that waits is predicted from what had ended when it came, as it was then.
        """
        self.runs_by_uid.clear()
        self.predicted_s.clear()
        waiting = sorted(
            (job for job in jobs if job.state is JobState.PENDING), key=lambda job: (job.submitted_at, job.id)
        )
        ahead = iter(past)
        next_run = next(ahead, None)
        for job in waiting:
            while next_run is not None and next_run.ended_at <= job.submitted_at:
                self._add(next_run.uid, next_run.run)
                next_run = next(ahead, None)
            self._predict(job)
        while next_run is not None:
            self._add(next_run.uid, next_run.run)
            next_run = next(ahead, None)

    def _add(self, uid: int, run: FinishedRun) -> None:
        self.runs_by_uid[uid] = add_run(self.runs_by_uid.get(uid, ()), run)

    def note(self, old: Job | None, job: Job) -> None:
        """Follow a change of a job."""
        if job.is_ended and (old is None or not old.is_ended):
            run = find_run(job)
            if run is not None:
                self._add(job.spec.uid, run)
        if job.state is not JobState.PENDING:
            self.predicted_s.pop(job.id, None)
        elif old is None or old.state is not JobState.PENDING or old.limit_s != job.limit_s:
            self._predict(job)

    def _predict(self, job: Job) -> None:
        predicted_s = predict_run_s(self.runs_by_uid.get(job.spec.uid, ()), job.limit_s)
        if predicted_s is None:
            self.predicted_s.pop(job.id, None)
        else:
            self.predicted_s[job.id] = predicted_s
