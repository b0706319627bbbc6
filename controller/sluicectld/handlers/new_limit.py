"""A running job's limit changes: its timers, and what its programs are told, so that job.deadline() follows."""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.states import JobState, Notice
from sluice.wire.messages import SignalJob
from sluicectld.state.events import JobRevised

from .managers import tell_job
from .turn import Turn


def shorten(turn: Turn, job: Job, end_at: float, text: str) -> None:
    """Have a running job end at *end_at*, if it would not end before; text: why, for its programs to read."""
    assert job.started_at is not None, f"job {job.id} has not started and has no end"
    left_s = int(max(end_at - job.started_at - job.suspended_s, 1))
    if job.limit_s is not None and job.limit_s <= left_s:
        return
    shortened = replace(job, limit_s=left_s)
    turn.emit(JobRevised(at=turn.now_at, job=shortened, what="reservation"))
    turn.timers.add_job_limit(shortened)
    tell_job(turn, shortened)
    tell_limit(turn, shortened, text)


def tell_limit(turn: Turn, job: Job, text: str) -> None:
    """Let the job's programs know how long they have now; one that stands still is told when it goes on."""
    if job.state is not JobState.RUNNING:
        return
    turn.effects += [limit_order(turn, job, node, text) for node in job.nodes]


def limit_order(turn: Turn, job: Job, node: str, text: str = "") -> SignalJob:
    """Return what a node is told of a job's limit; without a text it is news only to a step that knows another one."""
    return SignalJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        signal=0,
        to_batch=True,
        full=True,
        reason=Notice.NEW_LIMIT.value,
        deadline_at=job.preemption.ends_at if job.preemption is not None else None,
        text=text,
        limit_at=job.limit_at,
    )
