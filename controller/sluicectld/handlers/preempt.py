"""Preemption, as it is carried out: each decision is checked again, the victim warned, suspended or ended.

All victims of one preemptor are preempted or none; a victim that is warned is ended when its grace is over, once.  What
was begun is gone through with even if the preemptor needs it no longer: the victims were told.

A heterogeneous job is preempted as a whole: all components that run are warned or suspended, and end with their leader.
"""

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from sluice.model.base import BATCH_STEP
from sluice.model.job import Job
from sluice.model.preemption import Preemption, PreemptMode
from sluice.model.states import Ending, JobState
from sluice.wire.messages import SignalJob
from sluicectld.scheduler.limits.gate import Gate
from sluicectld.scheduler.plan import Plan, PreemptJob
from sluicectld.scheduler.preempt_rules import Rights
from sluicectld.scheduler.resuming import waits_to_resume
from sluicectld.state.events import JobPreempted, JobWarned

from .components import leader_of, whole_job
from .endings import end_job, may_requeue
from .suspend import can_resume, resume_job, suspend_job
from .turn import Turn

_SIGTERM = 15


def apply_preemptions(turn: Turn, plan: Plan) -> int:
    """Begin what is still right; return how many decisions were stale."""
    if not plan.preemptions:
        return 0
    if turn.policy.preempt_plugin is None:
        return len(plan.preemptions)
    snapshot = turn.cluster.snapshot(turn.now_at, {})
    rights = Rights(snapshot, turn.policy, plan.priorities, Gate(snapshot, turn.policy).book)
    stale = 0
    for for_job_id, group in groupby(plan.preemptions, attrgetter("for_job_id")):
        orders = tuple(group)
        if not _is_wanted(turn, for_job_id, plan.version) or not _are_victims(turn, orders, rights):
            stale += len(orders)
            continue
        for order in orders:
            _preempt(turn, order.job_id, order)
    return stale


def apply_resumes(turn: Turn, plan: Plan) -> int:
    """Let suspended jobs go on whose CPUs are still free; return how many are not."""
    stale = 0
    for job_id in plan.resumes:
        job = turn.cluster.jobs.get(job_id)
        parts = whole_job(turn.cluster, job) if job is not None else ()
        waiting = [part for part in parts if waits_to_resume(part)]
        if not waiting or not all(can_resume(turn, part) for part in waiting):
            stale += 1
            continue
        for part in waiting:
            resume_job(turn, part)
    return stale


def _is_wanted(turn: Turn, job_id: int, version: int) -> bool:
    if turn.cluster.reservations_version > version or job_id not in turn.cluster.ready:
        return False
    parts = whole_job(turn.cluster, turn.job(job_id))
    return all(part.id in turn.cluster.ready and turn.cluster.revised.get(part.id, 0) <= version for part in parts)


def _are_victims(turn: Turn, orders: Iterable[PreemptJob], rights: Rights) -> bool:
    """May each of them still be preempted for the job, or for a component of it, and in the way that was decided?"""
    for order in orders:
        running = turn.cluster.running
        parts = tuple(running[part.id] for part in _running_parts(turn, order.job_id) if part.id in running)
        rooms = [room for room in order.rooms if room.job_id in turn.cluster.jobs]
        if not parts or not any(
            rights.is_victim(parts, turn.job(room.job_id), room.partition, order.mode) for room in rooms
        ):
            return False
    return True


def _running_parts(turn: Turn, job_id: int) -> list[Job]:
    """Return the job if it runs, or the running components of the one that it leads."""
    job = turn.cluster.jobs.get(job_id)
    if job is None:
        return []
    return [part for part in whole_job(turn.cluster, job) if part.state in (JobState.RUNNING, JobState.SUSPENDED)]


def _preempt(turn: Turn, job_id: int, order: PreemptJob) -> None:
    parts = _running_parts(turn, job_id)
    for part in parts:
        preemption = Preemption(
            for_job_id=order.for_job_id,
            mode=order.mode,
            at=turn.now_at,
            ends_at=turn.now_at + order.grace_s,
            rooms=order.rooms,
            gives_signal=part.spec.warn_signal is not None and part.warned_at is None,
        )
        turn.emit(JobPreempted(at=turn.now_at, job_id=part.id, preemption=preemption))
    if order.mode is not PreemptMode.SUSPEND and order.grace_s <= 0:
        end_preempted(turn, turn.job(job_id))
        return
    for part in parts:
        if order.mode is PreemptMode.SUSPEND:
            suspend_job(turn, turn.job(part.id))
        else:
            _warn(turn, turn.job(part.id))
    turn.timers.add_preemption(turn.job(job_id))


def _warn(turn: Turn, job: Job) -> None:
    """Tell the programs when they will be killed: by the job's own signal if it has one to give, and by TERM."""
    turn.effects += [order for node in job.nodes for order in warn_orders(turn, job, node)]
    if job.preemption is not None and job.preemption.gives_signal:
        turn.emit(JobWarned(at=turn.now_at, job_id=job.id))
    turn.is_pass_due = True


def warn_orders(turn: Turn, job: Job, node: str) -> list[SignalJob]:
    """Return what one node is told of a job in its grace; repeats are ignored there."""
    assert job.preemption is not None, f"job {job.id} is not being preempted"
    is_first = node == job.nodes[0]
    warn = job.spec.warn_signal
    orders = []
    if warn is not None and job.preemption.gives_signal:
        to_batch = warn.to_batch_only
        if is_first or not to_batch:
            orders.append(_order(turn, job, node, warn.number, to_batch=to_batch, to_steps=not to_batch, full=to_batch))
    if not orders or not turn.policy.preempt.sends_user_signal:
        orders.append(_order(turn, job, node, _SIGTERM, to_batch=is_first, to_steps=True, full=False))
    return orders


def _order(turn: Turn, job: Job, node: str, signal: int, *, to_batch: bool, to_steps: bool, full: bool) -> SignalJob:
    assert job.preemption is not None, f"job {job.id} is not being preempted"
    return SignalJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        signal=signal,
        step_id=BATCH_STEP if to_batch and not to_steps else None,
        to_batch=to_batch,
        to_steps=to_steps,
        full=full,
        reason=Ending.PREEMPTION.value,
        deadline_at=job.preemption.ends_at,
    )


def preemption_due(turn: Turn, job_id: int) -> None:
    """The grace is over: end the job if it has not ended, with all of its components."""
    job = turn.cluster.jobs.get(job_id)
    job = leader_of(turn, job) if job is not None else None
    if job is None or job.state is not JobState.RUNNING or job.preemption is None:
        return
    if job.preemption.ends_at > turn.now_at:
        turn.timers.add_preemption(job)
        return
    end_preempted(turn, job)


def end_preempted(
    turn: Turn, job: Job, clean_nodes: frozenset[str] = frozenset(), exit_code: int = 0, exit_signal: int = 0
) -> None:
    """End a preempted job, or send it back to the queue.

    clean_nodes: as end_job() has them; exit_code, exit_signal: of a script that has ended by itself.
    """
    assert job.preemption is not None, f"job {job.id} is not being preempted"
    is_requeued = job.preemption.mode is PreemptMode.REQUEUE and job.spec.is_batch and may_requeue(turn, job)
    # Whoever had a grace was told when it ends.
    had_grace = job.preemption.ends_at > job.preemption.at
    end_job(
        turn,
        job,
        JobState.PREEMPTED,
        Ending.PREEMPTION,
        reason_text=f"preempted for job {job.preemption.for_job_id}",
        is_requeued=is_requeued,
        kill_wait_s=0.0 if had_grace else None,
        clean_nodes=clean_nodes,
        exit_code=exit_code,
        exit_signal=exit_signal,
    )
