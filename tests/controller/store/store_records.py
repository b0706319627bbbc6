"""Records and batches for the store's tests: plain, complete enough to be told apart."""

from typing import Any

import msgspec

from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.request import JobSpec, StepSpec
from sluice.model.states import JobState, StepState
from sluice.model.step import Step, StepNode, Usage
from sluicectld.store.batch import Batch, StoredEvent


def a_spec(name: str = "train", user: str = "ada", **changes: Any) -> JobSpec:
    values: dict[str, Any] = {"uid": 1001, "gid": 1001, "work_dir": "/home/ada", "command": "train.sh"}
    return JobSpec(name=name, user=user, **{**values, **changes})


def a_job(job_id: int = 1, spec: JobSpec | None = None, **changes: Any) -> Job:
    """A pending job, submitted at 1000 + its id."""
    values: dict[str, Any] = {"spec_id": job_id, "partition": "batch", "submitted_at": 1000.0 + job_id, "limit_s": 3600}
    return Job(id=job_id, spec=spec or a_spec(), **{**values, **changes})


def running(job: Job, *nodes: str, started_at: float | None = None, **changes: Any) -> Job:
    grants = tuple(NodeGrant(node=node, cpus="0-3", cpu_count=4, memory_mib=500) for node in nodes or ("n1",))
    return msgspec.structs.replace(
        job,
        state=JobState.RUNNING,
        started_at=job.submitted_at + 10 if started_at is None else started_at,
        allocation=Allocation(grants=grants, tasks_per_node=(1,) * len(grants)),
        **changes,
    )


def ended(job: Job, at: float, state: JobState = JobState.COMPLETED, **changes: Any) -> Job:
    return msgspec.structs.replace(job, state=state, ended_at=at, **changes)


def a_step(job_id: int = 1, step_id: int = -5, attempt: int = 0, **changes: Any) -> Step:
    values: dict[str, Any] = {
        "spec": StepSpec(name="batch"),
        "nodes": (StepNode(node="n1", ntasks=1, cpu_count=4),),
        "started_at": 1100.0,
    }
    return Step(job_id=job_id, step_id=step_id, attempt=attempt, **{**values, **changes})


def an_ended_step(job_id: int = 1, step_id: int = -5, **changes: Any) -> Step:
    usage = Usage(user_s=1.5, max_rss_kib=2048)
    return a_step(job_id, step_id, state=StepState.COMPLETED, ended_at=1200.0, usage=usage, **changes)


def an_event(sequence: int, kind: str = "JobSubmitted", job_id: int | None = 1) -> StoredEvent:
    return StoredEvent(sequence, 1000.0 + sequence, "ada", kind, job_id, b'{"job_id":%d}' % (job_id or 0))


def a_submission(job_id: int, sequence: int | None = None) -> Batch:
    """The batch that one sbatch makes."""
    job = a_job(job_id)
    return Batch(
        events=[an_event(sequence or job_id, job_id=job_id)],
        jobs={job_id: job},
        specs={job_id: job.spec},
        tokens={f"token-{job_id}": job_id},
    )
