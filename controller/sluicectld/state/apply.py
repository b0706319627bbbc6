"""apply(cluster, event): the only place where the cluster changes.

Cannot fail on an event that was made from the same state; an AssertionError here is our bug, with its story.
Replaying the journal through apply() gives the tables back.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import Dependency, StepSpec
from sluice.model.states import Ending, Hold, JobState
from sluice.model.step import Step, StepNode

from . import arrays, events
from .cluster import Cluster

#: Endings that the job's script did not choose.
_CUT_SHORT = frozenset({Ending.CANCEL, Ending.TIME_LIMIT, Ending.NODE_FAILURE, Ending.PREEMPTION})
#: As 22.05 says it of a job that went back held.
_REQUEUED_HELD = "job requeued in held state"


def apply(cluster: Cluster, event: events.AnyEvent) -> None:
    """Change *cluster* by one fact."""
    _APPLIERS[type(event)](cluster, event)
    cluster.version += 1


def _epoch_began(cluster: Cluster, event: events.EpochBegan) -> None:
    cluster.epoch = event.epoch
    cluster.batch.meta["epoch"] = str(event.epoch)
    cluster.cluster_id = event.cluster_id
    cluster.batch.meta["cluster_id"] = event.cluster_id


def _configuration_applied(cluster: Cluster, event: events.ConfigurationApplied) -> None:
    cluster.config_version = event.version
    cluster.config_digest = event.digest
    cluster.batch.meta["config_version"] = str(event.version)
    cluster.batch.meta["config_digest"] = event.digest
    for name in cluster.nodes.keys() - {node.name for node in event.nodes}:
        cluster.remove_node(name)
    for node in event.nodes:
        cluster.put_node(node)
    # Listings and placement follow the order of the configuration.
    cluster.free = {node.name: cluster.free[node.name] for node in event.nodes}
    cluster.nodes = {node.name: cluster.nodes[node.name] for node in event.nodes}
    for name in cluster.partitions.keys() - {partition.name for partition in event.partitions}:
        cluster.remove_partition(name)
    for partition in event.partitions:
        cluster.put_partition(partition)
    cluster.partitions = {partition.name: partition for partition in event.partitions}


def _job_submitted(cluster: Cluster, event: events.JobSubmitted) -> None:
    assert event.job.id not in cluster.jobs, f"job {event.job.id} submitted twice"
    _note_job_id(cluster, event.job.id)
    if event.token:
        cluster.tokens[event.token] = event.job.id
        cluster.batch.tokens[event.token] = event.job.id
    cluster.put_job(event.job)


def _job_revised(cluster: Cluster, event: events.JobRevised) -> None:
    assert event.job.id in cluster.jobs, f"job {event.job.id} revised ({event.what}) but not known"
    cluster.put_job(event.job)
    if event.job.id in cluster.ready:
        # A plan that was made before decided by what the job was then.
        cluster.revised[event.job.id] = cluster.version + 1


def _job_started(cluster: Cluster, event: events.JobStarted) -> None:
    job = _split_off(cluster, event.job_id, event.task_id, event.new_id)
    assert job.state is JobState.PENDING, f"job {job.id} is {job.state} and cannot start"
    started = replace(
        job,
        state=JobState.RUNNING,
        started_at=event.at,
        allocation=event.allocation,
        partition=event.partition,
        reservation=event.reservation,
        limit_s=event.limit_s,
        priority=job.priority if event.priority is None else event.priority,
        reason=Reason.NONE,
        reason_text="",
        begin_at=None,
        dependency=Dependency(),
        next_step_id=0,
        steps_on="",
        lost_nodes=(),
        is_in_prolog=event.has_prolog,
        preparing_nodes=event.preparing_nodes,
    )
    cluster.put_job(started)
    cluster.drop_steps(job.id)
    if job.spec.is_batch:
        cluster.put_step(_batch_step(started))


def _split_off(cluster: Cluster, job_id: int, task_id: int | None, new_id: int) -> Job:
    """Return the job to go on with; an array's task is made a job of its own first."""
    base = cluster.jobs[job_id]
    if task_id is None:
        return base
    task, rest = arrays.split(base, task_id, new_id)
    _note_job_id(cluster, new_id)
    if rest is not None:
        cluster.put_job(rest)
    return task


def _note_job_id(cluster: Cluster, job_id: int) -> None:
    if job_id >= cluster.next_job_id:
        cluster.next_job_id = job_id + 1
        cluster.batch.meta["next_job_id"] = str(job_id + 1)


def _batch_step(job: Job) -> Step:
    assert job.allocation is not None
    assert job.started_at is not None
    first = job.allocation.grants[0]
    node = StepNode(
        node=first.node,
        ntasks=1,
        ranks="0",
        cpus=first.cpus,
        cpu_count=first.cpu_count,
        memory_mib=first.memory_mib,
    )
    return Step(
        job_id=job.id,
        step_id=BATCH_STEP,
        attempt=job.attempt,
        spec=StepSpec(name="batch"),
        nodes=(node,),
        running_nodes=(first.node,),
        started_at=job.started_at,
    )


def _job_prepared(cluster: Cluster, event: events.JobPrepared) -> None:
    job = cluster.jobs[event.job_id]
    if not event.node:
        cluster.put_job(replace(job, is_in_prolog=False))
        return
    left = tuple(node for node in job.preparing_nodes if node != event.node)
    cluster.put_job(replace(job, preparing_nodes=left))


def _job_ended(cluster: Cluster, event: events.JobEnded) -> None:
    job = cluster.jobs[event.job_id]
    assert not job.is_ended, f"job {job.id} is {job.state} and cannot end again as {event.state}"
    cluster.put_job(
        replace(
            job,
            state=event.state,
            ended_at=event.at,
            ending=event.ending,
            exit_code=event.exit_code,
            exit_signal=event.exit_signal,
            reason=event.reason,
            reason_text=event.reason_text,
            cancelled_by=event.by_uid,
            completing_nodes=event.completing_nodes,
            is_in_prolog=False,
            preparing_nodes=(),
            is_in_epilog=event.has_epilog,
            is_requeued=event.is_requeued,
            failed_node=event.failed_node,
            suspended_at=None,
            suspended_s=job.suspended_s + _suspended_for(job, event.at),
        )
    )


def _job_epilog_ended(cluster: Cluster, event: events.JobEpilogEnded) -> None:
    cluster.put_job(replace(cluster.jobs[event.job_id], is_in_epilog=False))


def _suspended_for(job: Job, at: float) -> float:
    return at - job.suspended_at if job.suspended_at is not None else 0.0


def _tasks_cancelled(cluster: Cluster, event: events.TasksCancelled) -> None:
    part, rest = arrays.split_part(cluster.jobs[event.job_id], event.ranges, event.new_id)
    _note_job_id(cluster, event.new_id)
    cluster.put_job(rest)
    cluster.put_job(
        replace(part, state=JobState.CANCELLED, ended_at=event.at, cancelled_by=event.by_uid, ending=Ending.CANCEL)
    )


def _task_split(cluster: Cluster, event: events.TaskSplit) -> None:
    cluster.put_job(_split_off(cluster, event.job_id, event.task_id, event.new_id))


def _pass_made(cluster: Cluster, event: events.PassMade) -> None:
    """Nothing changes: what it found is made again from what it saw."""


def _job_warned(cluster: Cluster, event: events.JobWarned) -> None:
    job = cluster.jobs[event.job_id]
    first_at = event.at if job.warned_at is None else job.warned_at
    cluster.put_job(replace(job, warned_at=first_at, unwarned_nodes=event.missed_nodes))


def _job_requeued(cluster: Cluster, event: events.JobRequeued) -> None:
    job = cluster.jobs[event.job_id]
    assert not job.completing_nodes, f"job {job.id} requeued while {job.completing_nodes} are not clean"
    assert not job.is_in_epilog, f"job {job.id} requeued while its epilog runs"
    cluster.batch.attempts.append(job)
    cluster.drop_steps(job.id)
    is_held = job.hold is not Hold.NONE
    cluster.put_job(
        replace(
            job,
            state=JobState.PENDING,
            attempt=job.attempt + 1,
            priority=0 if is_held else job.priority,
            partition=job.spec.partitions[0] if job.spec.partitions else job.partition,
            limit_s=None if job.spec.is_unlimited else job.spec.limit_s,
            submitted_at=event.at,
            eligible_at=None if is_held else (event.begin_at or event.at),
            begin_at=event.begin_at,
            started_at=None,
            ended_at=None,
            allocation=None,
            ending=None,
            exit_code=0,
            exit_signal=0,
            derived_exit_code=0,
            derived_exit_signal=0,
            reason=Reason.NONE,
            reason_text=_REQUEUED_HELD if is_held else "",
            cancelled_by=None,
            is_requeued=False,
            failed_node="",
            reservation="",
            suspended_s=0.0,
            warned_at=None,
            unwarned_nodes=(),
            preemption=None,
            is_without_cpus=False,
            next_step_id=0,
        )
    )


def _node_cleaned(cluster: Cluster, event: events.NodeCleaned) -> None:
    job = cluster.jobs[event.job_id]
    left = tuple(node for node in job.completing_nodes if node != event.node)
    cluster.put_job(replace(job, completing_nodes=left))


def _job_preempted(cluster: Cluster, event: events.JobPreempted) -> None:
    job = cluster.jobs[event.job_id]
    assert job.state is JobState.RUNNING, f"job {job.id} is {job.state} and cannot be preempted"
    cluster.put_job(replace(job, preemption=event.preemption))


def _job_suspended(cluster: Cluster, event: events.JobSuspended) -> None:
    cluster.put_job(
        replace(cluster.jobs[event.job_id], state=JobState.SUSPENDED, suspended_at=event.at, is_without_cpus=True)
    )


def _job_resumed(cluster: Cluster, event: events.JobResumed) -> None:
    job = cluster.jobs[event.job_id]
    cluster.put_job(
        replace(
            job,
            state=JobState.RUNNING,
            suspended_at=None,
            suspended_s=job.suspended_s + _suspended_for(job, event.at),
            preemption=None,
            is_without_cpus=False,
        )
    )


def _step_began(cluster: Cluster, event: events.StepBegan) -> None:
    step = event.step
    job = cluster.jobs[step.job_id]
    cluster.put_step(step)
    if step.step_id >= job.next_step_id:
        cluster.put_job(replace(job, next_step_id=step.step_id + 1))
    # Whoever manages it may tell of it when it has ended already.
    _note_exit(cluster, step)


def _step_revised(cluster: Cluster, event: events.StepRevised) -> None:
    step = event.step
    if step.attempt == cluster.jobs[step.job_id].attempt:
        cluster.put_step(step)
        _note_exit(cluster, step)
    else:
        cluster.batch.steps[step.job_id, step.attempt, step.step_id] = step


def _note_exit(cluster: Cluster, step: Step) -> None:
    """The worst exit of its steps is the job's derived one."""
    job = cluster.jobs[step.job_id]
    if step.ended_at is None:
        return
    if step.step_id >= 0 and _is_worse(step, job):
        cluster.put_job(replace(job, derived_exit_code=step.exit_code, derived_exit_signal=step.exit_signal))
    elif step.step_id == BATCH_STEP and step.exit_signal and job.ending in _CUT_SHORT:
        # How the script took its end from outside: TERM (15), or KILL (9) if it did not heed that.
        cluster.put_job(replace(job, exit_signal=step.exit_signal))


def _is_worse(step: Step, job: Job) -> bool:
    return (step.exit_code, step.exit_signal) > (job.derived_exit_code, job.derived_exit_signal)


def _node_changed(cluster: Cluster, event: events.NodeChanged) -> None:
    cluster.put_node(event.node)


def _partition_changed(cluster: Cluster, event: events.PartitionChanged) -> None:
    cluster.put_partition(event.partition)


def _partition_deleted(cluster: Cluster, event: events.PartitionDeleted) -> None:
    cluster.remove_partition(event.name)


def _reservation_changed(cluster: Cluster, event: events.ReservationChanged) -> None:
    cluster.put_reservation(event.reservation)
    if event.reservation.id >= cluster.next_reservation_id:
        cluster.next_reservation_id = event.reservation.id + 1
        cluster.batch.meta["next_reservation_id"] = str(event.reservation.id + 1)


def _reservation_deleted(cluster: Cluster, event: events.ReservationDeleted) -> None:
    cluster.remove_reservation(event.name)


_APPLIERS: dict[type, Callable[[Cluster, Any], None]] = {
    events.EpochBegan: _epoch_began,
    events.ConfigurationApplied: _configuration_applied,
    events.JobSubmitted: _job_submitted,
    events.JobRevised: _job_revised,
    events.JobStarted: _job_started,
    events.JobEnded: _job_ended,
    events.JobEpilogEnded: _job_epilog_ended,
    events.TasksCancelled: _tasks_cancelled,
    events.TaskSplit: _task_split,
    events.JobWarned: _job_warned,
    events.JobPrepared: _job_prepared,
    events.PassMade: _pass_made,
    events.JobRequeued: _job_requeued,
    events.NodeCleaned: _node_cleaned,
    events.JobPreempted: _job_preempted,
    events.JobSuspended: _job_suspended,
    events.JobResumed: _job_resumed,
    events.StepBegan: _step_began,
    events.StepRevised: _step_revised,
    events.NodeChanged: _node_changed,
    events.PartitionChanged: _partition_changed,
    events.PartitionDeleted: _partition_deleted,
    events.ReservationChanged: _reservation_changed,
    events.ReservationDeleted: _reservation_deleted,
}
