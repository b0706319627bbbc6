"""scontrol update JobId=...: nothing changes when one of the keys (job_keys.py) is refused."""

from msgspec.structs import replace

from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice.model.job import Job
from sluice.model.reason import Reason
from sluice.model.states import JobState
from sluice.wire.messages import Done, JobFilter
from sluicectld.permissions import Verb
from sluicectld.state.commands import ReviseJobs
from sluicectld.state.events import JobRevised
from sluicectld.state.timers import Due

from .admission import check_access, check_counts, check_resources, find_verdict
from .dependents import give_up, judge_dependency
from .each import for_each
from .job_keys import KEYS, read_dependency
from .managers import tell_job
from .new_limit import tell_limit
from .reservation_admission import check_reservations
from .select import named_jobs
from .submit import resolve_dependency, unknown_terms
from .turn import Turn


def handle_revise_jobs(turn: Turn, command: ReviseJobs) -> Done:
    """Change every named job; refusals of some are told line by line, of all as the answer."""
    request = command.request
    found = named_jobs(turn.cluster, request.ids, JobFilter(names=request.names))
    if not found:
        raise NotFound(f"no job is called {','.join(request.ids or request.names)}", "invalid_job")
    warnings = _warnings(turn, command)
    done = for_each(
        turn,
        found,
        lambda job: _check(turn, command, job),
        lambda job: _apply(turn, command, job),
    )
    return replace(done, warnings=warnings)


def _warnings(turn: Turn, command: ReviseJobs) -> tuple[str, ...]:
    """Return what to say of jobs to wait for that never were."""
    texts = [value for name, value in command.request.changes if name.lower() == "dependency"]
    found = [text for value in texts for text in unknown_terms(turn.cluster, read_dependency(value), command.ended)]
    return tuple(found)


def _check(turn: Turn, command: ReviseJobs, job: Job) -> None:
    """Raise RequestError unless every change may be made and leaves a job that makes sense."""
    turn.require(Verb.UPDATE_JOB, job)
    if job.is_ended and not job.is_requeued:
        raise RequestError("Job has already finished", "finished")
    is_operator = turn.caller.may(Verb.RAISE_LIMIT)
    for name, _ in command.request.changes:
        key = KEYS.get(name.lower())
        if key is None:
            raise InvalidRequest(f"{name!r} of a job cannot be changed")
        if key.operators_only and not is_operator:
            raise NotPermitted(f"{name} is changed by operators")
        if key.pending_only and job.state is not JobState.PENDING:
            raise RequestError(f"{name} can be changed while the job is pending only", "not_pending")
    revised = _revise(turn, command, job)
    if revised.spec != job.spec:
        check_counts(turn.settings, revised.spec)
        check_resources(turn.settings, revised.spec)
        if revised.spec.reservation != job.spec.reservation:
            check_reservations(turn.cluster, revised.spec, command.groups)
    if job.state is JobState.PENDING and (revised.spec != job.spec):
        _check_names(turn, job, revised, command.groups)


def _revise(turn: Turn, command: ReviseJobs, job: Job) -> Job:
    revised = job
    for name, value in command.request.changes:
        revised = KEYS[name.lower()].change(turn, revised, value)
    return revised


#: What is refused at an update as at submission; what is merely too large waits with its reason (22.05, observed).
_REFUSED = ("invalid_node", "invalid_feature", "invalid_gres")


def _check_names(turn: Turn, job: Job, revised: Job, groups: tuple[str, ...]) -> None:
    """Raise RequestError for nodes, features or gres that no partition knows, and partitions closed to the user."""
    for name in revised.spec.partitions:
        partition = turn.cluster.partitions.get(name)
        if partition is None:
            continue
        if name not in job.spec.partitions and not turn.caller.may(Verb.UPDATE_PARTITION):
            check_access(turn.caller, partition, revised.spec, groups)
        verdict = find_verdict(turn, partition, revised.spec)
        if verdict is not None and verdict.is_refusal and verdict.code in _REFUSED:
            raise RequestError(verdict.text, verdict.code)


def _apply(turn: Turn, command: ReviseJobs, job: Job) -> None:
    revised = _revise(turn, command, job)
    is_never = False
    if revised.dependency is not job.dependency:
        revised, is_never = resolve_dependency(turn, replace(revised, reason=Reason.NONE), command.ended)
    if revised.spec is not job.spec:
        revised = replace(revised, spec_id=turn.cluster.next_spec_id)
    turn.emit(JobRevised(at=turn.now_at, job=revised, what="update"))
    tell_job(turn, revised)
    if revised.limit_s != job.limit_s:
        turn.timers.add_job_limit(revised)
        tell_limit(turn, revised, f"by {turn.caller.user}")
    if revised.begin_at is not None and revised.begin_at != job.begin_at:
        turn.timers.add(revised.begin_at, Due.PASS)
    if revised.spec.deadline_at != job.spec.deadline_at:
        turn.timers.add_deadline(revised)
    if is_never:
        give_up(turn, revised)
    elif revised.dependency is not job.dependency:
        judge_dependency(turn, job.id)
    turn.is_pass_due = True
