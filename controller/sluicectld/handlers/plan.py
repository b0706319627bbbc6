"""Applying a pass's plan: every decision is checked against the state as it is now.

A stale one is dropped; the next pass decides about its job again.
"""

from sluice import array_spec
from sluice.model.job import Job
from sluicectld.scheduler.needs import count_sharers
from sluicectld.scheduler.plan import StartJob
from sluicectld.state import resources
from sluicectld.state.arrays import has_pending, is_last, ready_tasks
from sluicectld.state.cluster import Cluster
from sluicectld.state.commands import ApplyPlan
from sluicectld.state.effects import Launch
from sluicectld.state.events import JobStarted

from .dependents import judge_dependency, wake_dependents
from .preempt import apply_preemptions, apply_resumes
from .turn import Turn


def handle_plan(turn: Turn, command: ApplyPlan) -> int:
    """Return how many decisions were stale."""
    stale = 0
    version = command.plan.version
    for start in command.plan.starts:
        job = turn.cluster.jobs.get(start.job_id)
        if job is None or not may_start(turn.cluster, job, start, version):
            stale += 1
            continue
        _start(turn, job, start, command)
    stale += apply_resumes(turn, command.plan)
    stale += apply_preemptions(turn, command.plan)
    turn.is_pass_due = turn.is_pass_due or stale > 0 or command.plan.has_more
    return stale


def may_start(cluster: Cluster, job: Job, start: StartJob, version: int) -> bool:
    """Does a decision that was made at *version* still hold?"""
    if cluster.reservations_version > version:
        # What it takes may be kept for others by now.
        return False
    if job.id not in cluster.ready or cluster.revised.get(job.id, 0) > version:
        return False
    if (start.task_id is None) != (job.pending_array is None):
        return False
    if start.task_id is not None and not _is_task_ready(cluster, job, start.task_id):
        return False
    partition = cluster.partitions.get(start.partition)
    if partition is None or partition.state not in ("UP", "DRAIN"):
        return False
    sharers_max = count_sharers(job.spec, partition) if start.allocation.is_sharing else 1
    for grant in start.allocation.grants:
        free = cluster.free.get(grant.node)
        if free is None or not free.node.is_usable or free.exclusive_job:
            return False
        if not resources.fits(free, grant, start.partition, sharers_max):
            return False
        if job.spec.exclusive == "node" and free.job_count and not start.allocation.is_sharing:
            return False
    return True


def _is_task_ready(cluster: Cluster, job: Job, task_id: int) -> bool:
    if not has_pending(job, task_id):
        return False
    return not job.dependency.terms or array_spec.contains(ready_tasks(job, cluster), task_id)


def _start(turn: Turn, job: Job, start: StartJob, command: ApplyPlan) -> None:
    # Every event counts in both, so that the two numbers move together.
    events_since = turn.cluster.version - command.plan.version
    decided_at = command.decided_at
    new_id = job.id
    if start.task_id is not None and not is_last(job):
        new_id = turn.cluster.next_job_id
    turn.emit(
        JobStarted(
            at=turn.now_at,
            job_id=job.id,
            new_id=new_id,
            allocation=start.allocation,
            partition=start.partition,
            limit_s=start.limit_s,
            task_id=start.task_id,
            priority=command.plan.priorities.get(job.id),
            reservation=start.reservation,
            decided_after=turn.cluster.next_sequence - 1 - events_since,
            decided_at=None if decided_at == turn.now_at else decided_at,
        )
    )
    started = turn.job(new_id)
    turn.timers.add_job_limit(started)
    if started.spec.is_batch:
        turn.effects.append(Launch(started.nodes[0], started))
    wake_dependents(turn, started)
    if new_id != job.id and job.dependency.terms:
        # What is left of the array may have nothing to hope for.
        judge_dependency(turn, job.id)
