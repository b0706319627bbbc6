"""hold, uhold, release, requeue, requeuehold, suspend, resume, top: one small rule each, one table.

A rule is a check, which may refuse, and an act, which may not: pending tasks of an array that are named alone are
split off in between.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sluice.errors import NotFound, NotPermitted, RequestError
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import Ending, Hold, JobState
from sluice.wire.messages import ChangeJobs, Done, JobFilter
from sluicectld.permissions import Verb
from sluicectld.state.events import JobRevised

from . import components
from .dependents import judge_dependency
from .each import for_each
from .endings import end_job, may_requeue, requeue
from .select import named_jobs
from .suspend import can_resume, resume_job, suspend_job, wish_to_resume
from .turn import Turn, current_priority

_RUNNING = (JobState.RUNNING, JobState.SUSPENDED)
#: What is done to all components of a heterogeneous job or to none, by its leader's id.
_OF_WHOLE_JOBS = frozenset(("requeue", "requeuehold", "suspend", "resume"))


class Rule(msgspec.Struct, frozen=True):
    """check raises RequestError; act emits."""

    check: Callable[[Turn, ChangeJobs, Job], None]
    act: Callable[[Turn, ChangeJobs, Job], None]


def handle_change(turn: Turn, command: ChangeJobs) -> Done:
    """Do the action on every named job; the first refusal is the answer when none could be done."""
    rule = _RULES.get(command.action)
    if rule is None:
        raise RequestError(f"unknown action {command.action!r}: one of {', '.join(_RULES)}")
    found = named_jobs(turn.cluster, command.ids, JobFilter(names=command.names))
    if not found:
        raise NotFound(f"no job is called {','.join(command.ids or command.names)}", "invalid_job")
    if command.action in _OF_WHOLE_JOBS:
        found = components.without_led(turn.cluster, found)
    return for_each(turn, found, lambda job: rule.check(turn, command, job), lambda job: rule.act(turn, command, job))


def _require_unended(job: Job) -> None:
    if job.is_ended and not job.is_requeued:
        raise RequestError(f"job {job.id} is {job.state.value}", "finished")


def _require_pending(job: Job) -> None:
    _require_unended(job)
    if job.state is not JobState.PENDING:
        raise RequestError(f"job {job.id} is {job.state.value}", "not_pending")


def _check_hold(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.HOLD, job)
    _require_unended(job)


def _hold(turn: Turn, command: ChangeJobs, job: Job) -> None:
    """A running job goes on; what is held is its next run, should it be requeued."""
    hold = Hold.USER if command.action == "uhold" and turn.caller.may(Verb.RELEASE_ADMIN_HOLD) else new_hold(turn, job)
    held = replace(job, hold=hold, priority=0)
    if job.state is JobState.PENDING:
        held = replace(held, eligible_at=None)
    elif job.state in _RUNNING:
        held = replace(held, reason=Reason.JOB_HELD_ADMIN if hold is Hold.ADMIN else Reason.JOB_HELD_USER)
    turn.emit(JobRevised(at=turn.now_at, job=held, what="hold"))


def new_hold(turn: Turn, job: Job) -> Hold:
    """Return whose hold it is: an administrator's hold is no user's to lessen."""
    is_own = turn.caller.uid == job.spec.uid and turn.caller.uid != 0
    if turn.caller.may(Verb.RELEASE_ADMIN_HOLD):
        return Hold.USER if is_own else Hold.ADMIN
    return Hold.ADMIN if job.hold is Hold.ADMIN else Hold.USER


def _check_release(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.HOLD, job)
    _require_unended(job)
    if job.hold is Hold.ADMIN and not turn.caller.may(Verb.RELEASE_ADMIN_HOLD):
        raise NotPermitted(f"job {job.id} is held by an administrator")


def _release(turn: Turn, command: ChangeJobs, job: Job) -> None:
    released = replace(job, hold=Hold.NONE, is_special_exit=False)
    if job.state is JobState.PENDING:
        eligible_at = None if job.dependency.terms else max(turn.now_at, job.begin_at or 0.0)
        released = replace(released, reason=_without_hold(job.reason), reason_text="", eligible_at=eligible_at)
    elif job.state in _RUNNING:
        released = replace(released, reason=Reason.NONE)
    released = replace(released, priority=current_priority(turn, released))
    turn.emit(JobRevised(at=turn.now_at, job=released, what="release"))
    judge_dependency(turn, job.id)
    turn.is_pass_due = True


def _without_hold(reason: Reason) -> Reason:
    return reason if reason is Reason.DEPENDENCY_NEVER_SATISFIED else Reason.NONE


def _check_requeue(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.REQUEUE, job)
    components.require_whole(job, "not_leader")
    if not job.spec.is_batch:
        raise RequestError(f"job {job.id} has no batch script", "disabled")
    if not may_requeue(turn, job):
        raise RequestError(f"job {job.id} may not be requeued (--no-requeue, JobRequeue)", "disabled")
    if job.state is JobState.PENDING:
        raise RequestError(f"job {job.id} is pending already", "pending")
    if job.completing_nodes or job.is_requeued:
        raise RequestError(f"job {job.id} is completing", "already_done")


def _requeue(turn: Turn, command: ChangeJobs, job: Job) -> None:
    for each in components.whole_job(turn.cluster, job) if command.action == "requeuehold" else ():
        held = replace(each, hold=new_hold(turn, each), priority=0, is_special_exit=command.is_special_exit)
        turn.emit(JobRevised(at=turn.now_at, job=held, what="requeue hold"))
    if job.is_in_epilog:
        # Asked for by that very program, maybe: back to the queue when it has ended.
        turn.emit(JobRevised(at=turn.now_at, job=replace(turn.job(job.id), is_requeued=True), what="requeue"))
        return
    if job.is_ended:
        requeue(turn, turn.job(job.id))
        return
    end_job(turn, turn.job(job.id), JobState.CANCELLED, Ending.REQUEUE, by_uid=turn.caller.uid, is_requeued=True)


def _check_suspend(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.SUSPEND, job)
    components.require_whole(job)
    if job.state not in _RUNNING:
        raise RequestError(f"job {job.id} is {job.state.value}", _state_code(job))


def _suspend(turn: Turn, command: ChangeJobs, job: Job) -> None:
    for each in components.whole_job(turn.cluster, job):
        if each.state is JobState.RUNNING:
            suspend_job(turn, each)


def _check_resume(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.SUSPEND, job)
    components.require_whole(job)
    if job.state is not JobState.SUSPENDED:
        raise RequestError(f"job {job.id} is {job.state.value}, not suspended", _state_code(job))


def _resume(turn: Turn, command: ChangeJobs, job: Job) -> None:
    parts = [each for each in components.whole_job(turn.cluster, job) if each.state is JobState.SUSPENDED]
    if all(can_resume(turn, each) for each in parts):
        for each in parts:
            resume_job(turn, each)
        return
    for each in parts:
        if each.preemption is None:
            wish_to_resume(turn, each)


def _state_code(job: Job) -> str:
    """Return the code for a job that cannot be frozen, or go on, as it is."""
    if job.state is JobState.PENDING:
        return "pending"
    return "finished" if job.is_ended else "not_running"


def _check_top(turn: Turn, command: ChangeJobs, job: Job) -> None:
    turn.require(Verb.RAISE_PRIORITY, job)
    _require_pending(job)
    if job.hold is not Hold.NONE:
        raise RequestError(f"job {job.id} is held", "held")


def _top(turn: Turn, command: ChangeJobs, job: Job) -> None:
    """Before every other pending job of the same user and partition."""
    others = [other.priority for other in turn.cluster.ready.values() if other.spec.uid == job.spec.uid]
    topmost = max([job.priority, *others]) + 1
    revised = replace(
        job, priority=topmost, spec=replace(job.spec, priority=topmost), spec_id=turn.cluster.next_spec_id
    )
    turn.emit(JobRevised(at=turn.now_at, job=revised, what="top"))
    turn.is_pass_due = True


_RULES: dict[str, Rule] = {
    "hold": Rule(_check_hold, _hold),
    "uhold": Rule(_check_hold, _hold),
    "release": Rule(_check_release, _release),
    "requeue": Rule(_check_requeue, _requeue),
    "requeuehold": Rule(_check_requeue, _requeue),
    "suspend": Rule(_check_suspend, _suspend),
    "resume": Rule(_check_resume, _resume),
    "top": Rule(_check_top, _top),
}
