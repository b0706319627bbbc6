"""Suspending and resuming: a frozen job keeps its memory and units, its CPUs are anybody's until it goes on.

Who orders it, an administrator or the scheduler for a job that preempts, makes no difference here.
"""

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.job import Job
from sluice.model.preemption import Preemption, PreemptMode
from sluice.model.states import JobState, Notice
from sluice.wire.messages import SignalJob
from sluicectld.permissions import SYSTEM
from sluicectld.state.events import JobResumed, JobRevised, JobSuspended

from .turn import Turn

_SIGCONT = 18
_SIGSTOP = 19


def suspend_job(turn: Turn, job: Job) -> None:
    """Freeze a running job and give its CPUs away."""
    turn.emit(JobSuspended(at=turn.now_at, job_id=job.id))
    turn.effects += [freeze_order(turn, turn.job(job.id), node, _by_whom(turn)) for node in job.nodes]
    turn.is_pass_due = True


def resume_job(turn: Turn, job: Job) -> None:
    """Let a suspended job go on whose CPUs are free."""
    turn.emit(JobResumed(at=turn.now_at, job_id=job.id))
    turn.effects += [freeze_order(turn, turn.job(job.id), node, _by_whom(turn)) for node in job.nodes]
    turn.timers.add_job_limit(turn.job(job.id))
    turn.is_pass_due = True


def _by_whom(turn: Turn) -> str:
    return "" if turn.caller is SYSTEM else f"by {turn.caller.user}"


def wish_to_resume(turn: Turn, job: Job) -> None:
    """The job goes on as soon as a pass finds its CPUs free."""
    wish = Preemption(for_job_id=0, mode=PreemptMode.SUSPEND, at=turn.now_at, ends_at=turn.now_at)
    turn.emit(JobRevised(at=turn.now_at, job=replace(job, preemption=wish), what="resume"))
    turn.is_pass_due = True


def can_resume(turn: Turn, job: Job) -> bool:
    """Is every CPU that the job had free, on nodes that are in service?"""
    if job.state is not JobState.SUSPENDED or job.allocation is None:
        return False
    for grant in job.allocation.grants:
        free = turn.cluster.free.get(grant.node)
        cpus = cpuset.parse(grant.cpus)
        if free is None or free.free_cpus & cpus != cpus or free.exclusive_job not in (0, job.id):
            return False
        if job.spec.exclusive == "node" and free.job_count > 1:
            return False
    return True


def freeze_order(turn: Turn, job: Job, node: str, text: str = "") -> SignalJob:
    """Return the order that makes the job's processes on a node stand still, or go on, as its state says."""
    is_suspended = job.state is JobState.SUSPENDED
    if is_suspended and job.preemption is not None and job.preemption.for_job_id:
        text = f"job {job.preemption.for_job_id} needs its place"
    return SignalJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        signal=_SIGSTOP if is_suspended else _SIGCONT,
        to_batch=node == job.nodes[0],
        full=True,
        is_suspension=True,
        reason=Notice.SUSPEND.value if is_suspended else Notice.RESUME.value,
        text=text,
        limit_at=job.limit_at,
    )
