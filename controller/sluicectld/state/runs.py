"""What past runs tell of jobs that wait: the last runs of each user, and a prediction for each pending job.

Derived from the jobs as they change, and not stored: after a restart it begins with the ended jobs that are still in
memory.  A prediction is made when a job comes and stays until it starts or its limit changes.
Source: docs/decisions/prediction.md.
"""

from sluice.model.job import Job
from sluice.model.states import JobState
from sluicectld.scheduler.predict import Runs, add_run, find_run, predict_run_s


class RunBook:
    """runs_by_uid: newest first.  predicted_s: seconds by the id of a pending job, where there is a prediction."""

    def __init__(self) -> None:
        self.runs_by_uid: dict[int, Runs] = {}
        self.predicted_s: dict[int, float] = {}

    def note(self, old: Job | None, job: Job) -> None:
        """Follow a change of a job."""
        if job.is_ended and (old is None or not old.is_ended):
            run = find_run(job)
            if run is not None:
                uid = job.spec.uid
                self.runs_by_uid[uid] = add_run(self.runs_by_uid.get(uid, ()), run)
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
