"""SubmitJob: admit the request and make it a pending job; a repeated token gives the first answer again."""

from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.job import Job, PendingArray
from sluice.model.reason import Reason
from sluice.model.request import DependencyTerm, JobSpec
from sluice.model.states import Ending, Hold, JobState
from sluice.wire.messages import Submitted
from sluicectld.permissions import Verb
from sluicectld.scheduler import priority
from sluicectld.state.commands import AcceptJob
from sluicectld.state.dependencies import Outcome, Verdict, judge, resolve
from sluicectld.state.events import JobSubmitted
from sluicectld.state.timers import Due

from .admission import admit
from .endings import end_job, judge_dependency
from .turn import Turn


def handle_submit(turn: Turn, command: AcceptJob) -> Submitted:
    """Return the id of the job that the token stands for, new or not."""
    request = command.request
    known = turn.cluster.tokens.get(request.token) if request.token else None
    if known is not None:
        return Submitted(job_id=known)
    turn.caller.require(Verb.SUBMIT)
    _check_room(turn)
    spec, warnings = admit(turn, request.spec, command.groups)
    spec = replace(spec, script_digest=command.script_digest, environment_digest=command.environment_digest)
    job = new_job(turn, spec)
    job, is_never = _resolve_dependency(turn, job, command.ended)
    turn.emit(JobSubmitted(at=turn.now_at, job=job, token=request.token))
    _set_timers(turn, job)
    if is_never:
        _note_never(turn, job)
    turn.is_pass_due = True
    return Submitted(job_id=job.id, warnings=tuple(warnings))


def _check_room(turn: Turn) -> None:
    active = sum(turn.cluster.states_count[state] for state in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED))
    if active >= turn.settings.jobs_max:
        raise RequestError(
            f"{active} jobs are queued or running, at most {turn.settings.jobs_max} may be (MaxJobCount)",
            "too_many_jobs",
        )


def new_job(turn: Turn, spec: JobSpec) -> Job:
    """Return the pending job that an admitted request would become; nothing is changed."""
    hold = Hold.NONE
    if spec.is_held or spec.priority == 0:
        hold = Hold.USER
    begin_at = spec.begin_at if spec.begin_at is not None and spec.begin_at > turn.now_at else None
    job_id = turn.cluster.next_job_id
    job = Job(
        id=job_id,
        spec=spec,
        spec_id=turn.cluster.next_spec_id,
        array_job_id=job_id if spec.array else 0,
        pending_array=PendingArray(ranges=spec.array, throttle=spec.array_throttle) if spec.array else None,
        limit_s=None if spec.is_unlimited else spec.limit_s,
        partition=spec.partitions[0],
        submitted_at=turn.now_at,
        begin_at=begin_at,
        hold=hold,
        dependency=spec.dependency,
    )
    if hold is Hold.NONE and not spec.dependency.terms:
        job = replace(job, eligible_at=begin_at or turn.now_at)
    return replace(job, priority=_priority(turn, job))


def _priority(turn: Turn, job: Job) -> int:
    if job.hold is not Hold.NONE:
        return 0
    if job.spec.priority is not None and turn.caller.may(Verb.RAISE_PRIORITY):
        return job.spec.priority
    partition = turn.cluster.partitions[job.partition]
    return priority.compute_priority(job, partition, turn.now_at, turn.policy)


def _resolve_dependency(turn: Turn, job: Job, ended: dict[int, Outcome]) -> tuple[Job, bool]:
    """Drop what already holds at submission.  ended: jobs that only the accounting tables know."""
    if not job.dependency.terms:
        return job, False

    def verdict_of(term: DependencyTerm) -> Verdict:
        if term.type in ("singleton", "aftercorr"):
            return Verdict.WAITS
        other = turn.cluster.outcome(term.job_id, term.task_id)
        return judge(term, other if other is not None else ended.get(term.job_id), turn.now_at)

    left, is_never = resolve(job.dependency, verdict_of)
    eligible_at = job.begin_at or turn.now_at if not left.terms and job.hold is Hold.NONE else None
    return replace(job, dependency=left, eligible_at=eligible_at), is_never


def _note_never(turn: Turn, job: Job) -> None:
    if job.spec.kill_on_invalid_dependency:
        end_job(
            turn, job, JobState.CANCELLED, Ending.CANCEL, reason=Reason.DEPENDENCY_NEVER_SATISFIED, by_uid=job.spec.uid
        )
    else:
        judge_dependency(turn, job.id)


def _set_timers(turn: Turn, job: Job) -> None:
    if job.begin_at is not None:
        turn.timers.add(job.begin_at, Due.PASS)
    if job.spec.deadline_at is not None:
        turn.timers.add(job.spec.deadline_at - (job.spec.min_limit_s or job.limit_s or 0), Due.DEADLINE, job.id)
    if any(term.type in ("singleton", "after") for term in job.dependency.terms):
        judge_dependency(turn, job.id)
