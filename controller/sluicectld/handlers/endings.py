"""How a job ends: its final state at once, its nodes as they become clean, its dependents as soon as it is decided.

A running job that ends keeps the resources of each node until that node reports that nothing of it is left.  A requeued
job goes back to the queue when all of its nodes are clean.
"""

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.request import DependencyTerm
from sluice.model.states import Ending, Hold, JobState
from sluice.wire.messages import EndJob
from sluicectld.state.dependencies import Verdict, judge, resolve
from sluicectld.state.events import JobEnded, JobRequeued, JobRevised, NodeCleaned
from sluicectld.state.timers import Due

from .turn import Turn


def end_job(
    turn: Turn,
    job: Job,
    state: JobState,
    ending: Ending,
    *,
    exit_code: int = 0,
    exit_signal: int = 0,
    reason: Reason = Reason.NONE,
    reason_text: str = "",
    by_uid: int | None = None,
    clean_nodes: frozenset[str] = frozenset(),
    is_requeued: bool = False,
    failed_node: str = "",
) -> None:
    """End a pending or running job.  clean_nodes: already reported clean, or lost and not waited for."""
    completing = () if job.allocation is None else tuple(node for node in job.nodes if node not in clean_nodes)
    if job.state is JobState.PENDING:
        completing = ()
    turn.emit(
        JobEnded(
            at=turn.now_at,
            job_id=job.id,
            state=state,
            ending=ending,
            exit_code=exit_code,
            exit_signal=exit_signal,
            reason=reason,
            reason_text=reason_text,
            by_uid=by_uid,
            completing_nodes=completing,
            is_requeued=is_requeued,
            failed_node=failed_node,
        )
    )
    for node in completing:
        turn.effects.append(end_order(turn, job, node, ending, by_uid))
    turn.is_pass_due = True
    if not is_requeued:
        wake_dependents(turn, job)
    if not completing:
        _finish(turn, job.id)


def end_order(turn: Turn, job: Job, node: str, ending: Ending, by_uid: int | None = None) -> EndJob:
    """Return the order that ends the job's processes on one node."""
    return EndJob(
        node=node,
        epoch=turn.cluster.epoch,
        job_id=job.id,
        attempt=job.attempt,
        ending=ending,
        kill_wait_s=float(turn.settings.kill_wait_s),
        by_uid=by_uid or 0,
        ended_at=turn.now_at,
    )


def clean_node(turn: Turn, job_id: int, node: str) -> None:
    """The node has nothing left of the job."""
    turn.emit(NodeCleaned(at=turn.now_at, job_id=job_id, node=node))
    turn.is_pass_due = True
    if not turn.job(job_id).completing_nodes:
        _finish(turn, job_id)


def _finish(turn: Turn, job_id: int) -> None:
    """All clean: back to the queue, or forgotten after MinJobAge."""
    job = turn.job(job_id)
    if job.is_requeued:
        turn.emit(JobRequeued(at=turn.now_at, job_id=job_id, begin_at=_requeue_begin_at(turn)))
    else:
        turn.timers.add(turn.now_at + turn.settings.min_job_age_s, Due.FORGET, job_id)
        if job.array_task_id is not None:
            # The array's throttle, or tasks that wait for their counterpart.
            turn.is_pass_due = True


def _requeue_begin_at(turn: Turn) -> float | None:
    delay = turn.settings.scheduler_parameters.get("requeue_delay", "")
    if not delay.isdecimal() or int(delay) == 0:
        return None
    turn.timers.add(turn.now_at + int(delay), Due.PASS)
    return turn.now_at + int(delay)


def requeue_or_fail(turn: Turn, job: Job, node: str, text: str, lost_nodes: frozenset[str]) -> None:
    """A node of a running job failed: back to the queue if it may, else NODE_FAIL."""
    may = job.spec.is_batch and may_requeue(turn, job)
    end_job(
        turn,
        job,
        JobState.NODE_FAIL,
        Ending.NODE_FAILURE,
        reason=Reason.NODE_DOWN,
        reason_text=text,
        clean_nodes=lost_nodes,
        is_requeued=may,
        failed_node=node,
    )


def may_requeue(turn: Turn, job: Job) -> bool:
    if job.spec.can_requeue is not None:
        return job.spec.can_requeue
    return turn.settings.job_requeue


# --- dependents


def wake_dependents(turn: Turn, job: Job) -> None:
    """Judge again every pending job that waits for this one, its array, or its name."""
    cluster = turn.cluster
    waiting = set(cluster.dependents.get(job.id, ()))
    if job.array_job_id:
        waiting |= cluster.dependents.get(job.array_job_id, set())
    for job_id in sorted(waiting):
        judge_dependency(turn, job_id)
    for job_id in sorted(cluster.dependents.get(0, ())):
        other = cluster.jobs[job_id]
        if (other.spec.name, other.spec.uid) == (job.spec.name, job.spec.uid):
            judge_dependency(turn, job_id)


def judge_dependency(turn: Turn, job_id: int) -> None:
    """Drop the terms that hold by now; cancel or mark the job whose dependency can never hold."""
    job = turn.job(job_id)
    if job.state is not JobState.PENDING or not job.dependency.terms:
        return
    left, is_never = resolve(job.dependency, lambda term: _verdict(turn, job, term))
    if is_never:
        _never(turn, job)
    elif left != job.dependency:
        eligible_at = turn.now_at if not left.terms and job.hold is Hold.NONE else job.eligible_at
        turn.emit(
            JobRevised(at=turn.now_at, job=replace(job, dependency=left, eligible_at=eligible_at), what="dependency")
        )
        turn.is_pass_due = True


def _verdict(turn: Turn, job: Job, term: DependencyTerm) -> Verdict:
    cluster = turn.cluster
    if term.type == "singleton":
        return _judge_singleton(turn, job)
    if term.type == "aftercorr":
        return Verdict.WAITS if job.pending_array is not None else _judge_counterpart(turn, job, term.job_id)
    other = cluster.outcome(term.job_id, term.task_id)
    verdict = judge(term, other, turn.now_at)
    if term.type == "after" and verdict is Verdict.WAITS and other is not None and other.started_at is not None:
        turn.timers.add(other.started_at + term.delay_s, Due.DEPENDENCY, job.id)
    return verdict


def _judge_counterpart(turn: Turn, job: Job, other_id: int) -> Verdict:
    outcome = turn.cluster.outcome(other_id, job.array_task_id)
    return judge(DependencyTerm(type="aftercorr", job_id=other_id), outcome, turn.now_at)


def _judge_singleton(turn: Turn, job: Job) -> Verdict:
    """Wait for every unended job of the same name and user that was submitted before or has started."""
    for other_id in turn.cluster.active_by_name.get((job.spec.name, job.spec.uid), ()):
        other = turn.cluster.jobs[other_id]
        if other_id == job.id or other.array_job_id == job.id:
            continue
        if other.state is not JobState.PENDING or (other_id < job.id and other.hold is Hold.NONE):
            return Verdict.WAITS
    return Verdict.HOLDS


def _never(turn: Turn, job: Job) -> None:
    must_end = job.spec.kill_on_invalid_dependency
    if must_end is None:
        must_end = "kill_invalid_depend" in turn.settings.dependency_parameters
    if must_end:
        end_job(
            turn,
            job,
            JobState.CANCELLED,
            Ending.CANCEL,
            reason=Reason.DEPENDENCY_NEVER_SATISFIED,
            reason_text="its dependency can never be satisfied",
            by_uid=job.spec.uid,
        )
    elif job.reason is not Reason.DEPENDENCY_NEVER_SATISFIED:
        revised = replace(job, reason=Reason.DEPENDENCY_NEVER_SATISFIED)
        turn.emit(JobRevised(at=turn.now_at, job=revised, what="dependency"))
