"""hold, uhold, release, requeue, requeuehold, suspend, resume, top: one small rule each, one table."""

from collections.abc import Callable

from msgspec.structs import replace

from sluice.errors import NotFound, NotPermitted, RequestError
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, Hold, JobState
from sluice.wire.messages import ChangeJobs, Done, JobFilter, SignalJob
from sluicectld.permissions import Verb
from sluicectld.scheduler import priority
from sluicectld.state.events import JobRequeued, JobResumed, JobRevised, JobSuspended

from .endings import end_job, judge_dependency
from .select import jobs_of_ids, select_jobs
from .turn import Turn

_SIGCONT = 18
_SIGSTOP = 19


def handle_change(turn: Turn, command: ChangeJobs) -> Done:
    """Do the action on every named job; the first refusal is the answer when none could be done."""
    rule = _RULES.get(command.action)
    if rule is None:
        raise RequestError(f"unknown action {command.action!r}: one of {', '.join(_RULES)}")
    jobs = list(jobs_of_ids(turn.cluster, command.ids)) if command.ids else []
    if command.names:
        jobs += list(select_jobs(turn.cluster, JobFilter(names=command.names)))
    if not jobs:
        raise NotFound(f"no job is called {','.join(command.ids or command.names)}", "invalid_job")
    lines = []
    refusal: RequestError | None = None
    for job in jobs:
        try:
            rule(turn, command, job)
        except RequestError as error:
            refusal = refusal or error
            lines.append(f"{error.message} for job {job.id}")
    if refusal is not None and len(lines) == len(jobs):
        raise refusal
    return Done(lines=tuple(lines))


def _require_pending(job: Job) -> None:
    if job.is_ended and not job.is_requeued:
        raise RequestError(f"job {job.id} is {job.state.value}", "finished")
    if job.state is not JobState.PENDING:
        raise RequestError(f"job {job.id} is {job.state.value}", "not_pending")


def _hold(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.HOLD, job)
    if job.state is not JobState.PENDING:
        _require_pending(job)
    is_own = command.action == "uhold" or not turn.caller.may(Verb.RELEASE_ADMIN_HOLD)
    is_own = is_own or (turn.caller.uid == job.spec.uid and turn.caller.uid != 0)
    hold = Hold.USER if is_own else Hold.ADMIN
    turn.emit(JobRevised(at=turn.now_at, job=replace(job, hold=hold, priority=0, eligible_at=None), what="hold"))


def _release(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.HOLD, job)
    _require_pending(job)
    if job.hold is Hold.ADMIN and not turn.caller.may(Verb.RELEASE_ADMIN_HOLD):
        raise NotPermitted(f"job {job.id} is held by an administrator")
    released = replace(job, hold=Hold.NONE, is_special_exit=False, reason=Reason.NONE, reason_text="")
    partition = turn.cluster.partitions[job.partition]
    released = replace(
        released,
        priority=priority.compute_priority(released, partition, turn.now_at, turn.policy),
        eligible_at=None if job.dependency.terms else max(turn.now_at, job.begin_at or 0.0),
    )
    turn.emit(JobRevised(at=turn.now_at, job=released, what="release"))
    judge_dependency(turn, job.id)
    turn.is_pass_due = True


def _requeue(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.REQUEUE, job)
    if not job.spec.is_batch:
        raise RequestError(f"job {job.id} has no batch script", "disabled")
    if job.spec.can_requeue is False:
        raise RequestError(f"job {job.id} was submitted with --no-requeue", "disabled")
    if job.state is JobState.PENDING:
        raise RequestError(f"job {job.id} is pending already", "not_running")
    if job.is_completing or job.is_requeued:
        raise RequestError(f"job {job.id} is completing", "already_done")
    is_held = command.action == "requeuehold"
    if is_held:
        hold = Hold.USER if turn.caller.uid == job.spec.uid else Hold.ADMIN
        held = replace(job, hold=hold, is_special_exit=command.is_special_exit)
        turn.emit(JobRevised(at=turn.now_at, job=held, what="requeue hold"))
    if job.is_ended:
        turn.emit(JobRequeued(at=turn.now_at, job_id=job.id))
        turn.is_pass_due = True
        return
    end_job(turn, turn.job(job.id), JobState.CANCELLED, Ending.REQUEUE, by_uid=turn.caller.uid, is_requeued=True)


def _suspend(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.SUSPEND, job)
    if job.state is not JobState.RUNNING:
        raise RequestError(f"job {job.id} is {job.state.value}", _state_code(job))
    turn.emit(JobSuspended(at=turn.now_at, job_id=job.id))
    _signal_everything(turn, job, _SIGSTOP)


def _resume(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.SUSPEND, job)
    if job.state is not JobState.SUSPENDED:
        raise RequestError(f"job {job.id} is {job.state.value}, not suspended", _state_code(job))
    turn.emit(JobResumed(at=turn.now_at, job_id=job.id))
    _signal_everything(turn, job, _SIGCONT)
    turn.timers.add_job_limit(turn.job(job.id))


def _state_code(job: Job) -> str:
    return "finished" if job.is_ended else "not_running"


def _signal_everything(turn: Turn, job: Job, signal: int) -> None:
    for node in job.nodes:
        turn.effects.append(
            SignalJob(
                node=node,
                epoch=turn.cluster.epoch,
                job_id=job.id,
                attempt=job.attempt,
                signal=signal,
                to_batch=node == job.nodes[0],
                full=True,
            )
        )


def _top(turn: Turn, command: ChangeJobs, job: Job) -> None:
    """Before every other pending job of the same user and partition."""
    turn.require(Verb.RAISE_PRIORITY, job)
    _require_pending(job)
    others = [other.priority for other in turn.cluster.ready.values() if other.spec.uid == job.spec.uid]
    turn.emit(JobRevised(at=turn.now_at, job=replace(job, priority=max([job.priority, *others]) + 1), what="top"))
    turn.is_pass_due = True


_RULES: dict[str, Callable[[Turn, ChangeJobs, Job], None]] = {
    "hold": _hold,
    "uhold": _hold,
    "release": _release,
    "requeue": _requeue,
    "requeuehold": _requeue,
    "suspend": _suspend,
    "resume": _resume,
    "top": _top,
}
