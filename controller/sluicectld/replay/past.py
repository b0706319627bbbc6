"""What the cluster's jobs would have waited under another configuration: its own past as a workload.

A job comes when it became eligible and runs as long as it ran, with the request that it had; what made it eligible
(dependencies, holds, begin times) is taken as it was.  Nodes are up all the time.  Only jobs that ran say how long they
run, so that the others are left out and counted; one that still runs ends now.  Of a requeued job the last run counts.

The same past is replayed under the configuration in force as well: waits are compared between the two replays, and what
was recorded stands beside them.
"""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.request import Dependency
from sluice.model.states import Hold, JobState
from sluicectld.state.apply import apply
from sluicectld.state.cluster import Cluster

from .history import Row
from .schedule import Schedule
from .trace import TraceJob

#: Stands for a limit that there is none of.
_ENDLESS_S = 10**9


class Past(msgspec.Struct, frozen=True):
    """jobs: that ran, in order of their coming.  waited_s: as recorded, by job id.  idle: jobs that never ran."""

    jobs: tuple[TraceJob, ...]
    waited_s: dict[int, int]
    idle: int


class Wait(msgspec.Struct, frozen=True):
    """Seconds that one job waits: as recorded, replayed, and replayed under the other configuration.

    None: it does not start there; why says what stands against it.
    """

    job: str
    user: str
    recorded_s: int
    before_s: int | None
    after_s: int | None
    why: str = ""

    @property
    def change_s(self) -> int:
        """More (or, negative, less) waiting; 0 where one of the two is not known."""
        return 0 if self.before_s is None or self.after_s is None else self.after_s - self.before_s


def read_past(rows: Iterable[Row]) -> Past:
    """Return the jobs of a journal as a workload."""
    cluster = Cluster()
    now_at = 0.0
    for _, event in rows:
        apply(cluster, event)
        cluster.take_batch()
        now_at = event.at
    ran = [job for job in cluster.jobs.values() if job.started_at is not None and job.allocation is not None]
    # The last task of an array has the array's id, the lowest of all.
    ran.sort(key=lambda job: (_came_at(job), job.array_job_id or job.id, job.array_task_id or 0, job.id))
    jobs = [_workload_job(job, now_at) for job in ran]
    waited_s = {job.id: max(int(job.started_at or 0) - _came_at(job), 0) for job in ran}
    return Past(tuple(jobs), waited_s, len(cluster.jobs) - len(ran))


def _came_at(job: Job) -> int:
    return int(job.submitted_at if job.eligible_at is None else max(job.eligible_at, job.submitted_at))


def _workload_job(job: Job, now_at: float) -> TraceJob:
    assert job.started_at is not None, f"job {job.id} has not run"
    assert job.allocation is not None, f"job {job.id} has run on nothing"
    ended_at = now_at if job.ended_at is None else job.ended_at
    run_s = max(round(ended_at - job.started_at), 1)
    estimate_s = _ENDLESS_S if job.limit_s is None else job.limit_s
    return TraceJob(job.id, _came_at(job), run_s, job.allocation.cpu_count, estimate_s, job.spec.uid, _as_pending(job))


def _as_pending(job: Job) -> Job:
    """Return the record as it was before the job ran."""
    return replace(
        job,
        state=JobState.PENDING,
        partition=job.spec.partitions[0] if job.spec.partitions else job.partition,
        hold=Hold.NONE,
        begin_at=None,
        dependency=Dependency(),
        pending_array=None,
        started_at=None,
        ended_at=None,
        allocation=None,
        ending=None,
        completing_nodes=(),
        is_in_epilog=False,
    )


def compare_waits(past: Past, before: Schedule, after: Schedule, since_s: int) -> list[Wait]:
    """Return what every job that came at *since_s* or later waits, in order of their coming."""
    before_s = {run.job.id: run.wait_s for run in before.runs}
    after_s = {run.job.id: run.wait_s for run in after.runs}
    why = after.unstarted | after.refused
    waits = []
    for job in past.jobs:
        if job.submitted_s < since_s:
            continue
        assert job.record is not None, f"job {job.id} is of no cluster"
        spec = job.record.spec
        values = (past.waited_s[job.id], before_s.get(job.id), after_s.get(job.id), why.get(job.id, ""))
        waits.append(Wait(_name(job.record), spec.user, *values))
    return waits


def _name(job: Job) -> str:
    return str(job.id) if job.array_task_id is None else f"{job.array_job_id}_{job.array_task_id}"
