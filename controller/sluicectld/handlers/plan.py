"""Applying a pass's plan: every decision is checked against the state as it is now.

A stale one is dropped, and with it those of all components of its heterogeneous job; the next pass decides again.
"""

import itertools
from collections import ChainMap
from collections.abc import Mapping, MutableMapping

from msgspec.structs import replace

from sluice import array_spec
from sluice.model.job import Job
from sluicectld.scheduler.needs import count_sharers
from sluicectld.scheduler.plan import StartJob
from sluicectld.scheduler.snapshot import NodeFree
from sluicectld.state import resources
from sluicectld.state.arrays import has_pending, is_last, ready_tasks
from sluicectld.state.cluster import Cluster
from sluicectld.state.commands import ApplyPlan
from sluicectld.state.events import JobStarted, PassMade

from . import prepare
from .dependents import judge_dependency, wake_dependents
from .loans import call_back
from .preempt import apply_preemptions, apply_resumes
from .turn import Turn


def handle_plan(turn: Turn, command: ApplyPlan) -> int:
    """Return how many decisions were stale."""
    stale = 0
    plan = command.plan
    if command.is_freed is not None:
        after, at = _moment_of(turn, command)
        turn.emit(PassMade(at=turn.now_at, decided_after=after, decided_at=at, is_freed=command.is_freed))
    for _, group in itertools.groupby(plan.starts, key=lambda start: _gang_of(turn.cluster, start)):
        starts = tuple(group)
        if not _may_start_together(turn.cluster, starts, plan.version):
            stale += len(starts)
            continue
        for started in [_start(turn, start, command) for start in starts]:
            prepare.begin(turn, started)
    stale += apply_resumes(turn, plan)
    stale += apply_preemptions(turn, plan)
    call_back(turn, plan)
    is_acting = bool(plan.starts or plan.preemptions or plan.resumes)
    turn.is_pass_due = turn.is_pass_due or stale > 0 or (plan.has_more and is_acting)
    return stale


def _moment_of(turn: Turn, command: ApplyPlan) -> tuple[int, float | None]:
    """Return the last event that the pass saw, and its time as the journal has it."""
    # Every event counts in both, so that the two numbers move together.
    events_since = turn.cluster.version - command.plan.version
    decided_at = command.decided_at
    return turn.cluster.next_sequence - 1 - events_since, None if decided_at == turn.now_at else decided_at


def _gang_of(cluster: Cluster, start: StartJob) -> object:
    """Return what the starts of one heterogeneous job have in common, and no other start."""
    job = cluster.jobs.get(start.job_id)
    return job.het_job_id if job is not None and job.is_component else (start.job_id, start.task_id)


def _may_start_together(cluster: Cluster, starts: tuple[StartJob, ...], version: int) -> bool:
    """May all of them start, each beside the ones before it?  All components of a heterogeneous job, or one job."""
    free: MutableMapping[str, NodeFree] = ChainMap({}, cluster.free) if len(starts) > 1 else cluster.free
    for start in starts:
        job = cluster.jobs.get(start.job_id)
        if job is None or (job.is_component and len(starts) != job.het_size):
            return False
        if not may_start(cluster, job, start, version, free):
            return False
        if len(starts) > 1:
            placed = replace(job, allocation=start.allocation, partition=start.partition)
            for grant in start.allocation.grants:
                free[grant.node] = resources.take(free[grant.node], grant, placed)
    return True


def may_start(
    cluster: Cluster, job: Job, start: StartJob, version: int, free_by_name: Mapping[str, NodeFree] | None = None
) -> bool:
    """Does a decision that was made at *version* still hold?

    free_by_name: what is free on the nodes, if others are to start before.
    """
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
        free = (free_by_name or cluster.free).get(grant.node)
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


def _start(turn: Turn, start: StartJob, command: ApplyPlan) -> Job:
    job = turn.job(start.job_id)
    decided_after, decided_at = _moment_of(turn, command)
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
            decided_after=decided_after,
            decided_at=decided_at,
            has_prolog=prepare.has_prolog(turn.settings),
            preparing_nodes=prepare.awaited_nodes(turn.settings, start.allocation.nodes),
        )
    )
    started = turn.job(new_id)
    turn.timers.add_job_limit(started)
    wake_dependents(turn, started)
    if new_id != job.id and job.dependency.terms:
        # What is left of the array may have nothing to hope for.
        judge_dependency(turn, job.id)
    return started
