"""SubmitJob, SubmitHetJob: admit a request and make it pending jobs; a repeated token gives the first answer again."""

from msgspec.structs import replace

from sluice.errors import RequestError
from sluice.model.job import Job, PendingArray
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm, JobSpec
from sluice.model.states import Hold, JobState
from sluice.wire.messages import Submitted
from sluicectld.permissions import Verb
from sluicectld.state.cluster import Cluster
from sluicectld.state.commands import AcceptHetJob, AcceptJob, EndedOutcomes
from sluicectld.state.dependencies import Verdict, judge, resolve
from sluicectld.state.events import JobSubmitted
from sluicectld.state.timers import Due

from .admission import admit
from .components import check_components
from .dependents import as_judged, give_up, judge_dependency
from .turn import Turn, current_priority


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
    spec = turn.cluster.sharing.share(spec)
    job = new_job(turn, spec)
    warnings += unknown_terms(turn.cluster, job.dependency, command.ended)
    job, is_never = resolve_dependency(turn, job, command.ended)
    turn.emit(JobSubmitted(at=turn.now_at, job=job, token=request.token))
    _set_timers(turn, job)
    if is_never:
        give_up(turn, job)
    elif _is_to_be_judged(job):
        judge_dependency(turn, job.id)
    turn.is_pass_due = True
    return Submitted(job_id=job.id, warnings=tuple(warnings))


def handle_submit_het(turn: Turn, command: AcceptHetJob) -> Submitted:
    """Accept all components of a heterogeneous job, or none; return the leader's id."""
    request = command.request
    known = turn.cluster.tokens.get(request.token) if request.token else None
    if known is not None:
        return Submitted(job_id=known)
    turn.caller.require(Verb.SUBMIT)
    check_components(request.specs)
    _check_room(turn, len(request.specs))
    jobs, warnings = _new_components(turn, command)
    resolved = [resolve_dependency(turn, job, command.ended) for job in jobs]
    for job, _ in resolved:
        token = request.token if job.is_leader else ""
        turn.emit(JobSubmitted(at=turn.now_at, job=job, token=token))
        _set_timers(turn, job)
    for job, is_never in resolved:
        if turn.job(job.id).is_ended:
            break
        if is_never:
            give_up(turn, job)
        elif _is_to_be_judged(job):
            judge_dependency(turn, job.id)
    turn.is_pass_due = True
    return Submitted(job_id=jobs[0].id, warnings=tuple(dict.fromkeys(warnings)))


def _new_components(turn: Turn, command: AcceptHetJob) -> tuple[list[Job], list[str]]:
    """Return the jobs that the components become, and warnings.  The first has the script; it leads."""
    size = len(command.request.specs)
    leader_id, spec_id = turn.cluster.next_job_id, turn.cluster.next_spec_id
    jobs: list[Job] = []
    warnings: list[str] = []
    for offset, asked in enumerate(command.request.specs):
        spec, said = admit(turn, asked, command.groups)
        if offset == 0:
            spec = replace(spec, script_digest=command.script_digest, environment_digest=command.environment_digest)
        elif spec.is_batch:
            spec = replace(spec, is_batch=False)
        job = new_job(turn, spec)
        place = {"id": leader_id + offset, "het_job_id": leader_id, "het_offset": offset, "het_size": size}
        jobs.append(replace(job, spec_id=spec_id + offset, **place))
        warnings += said + unknown_terms(turn.cluster, job.dependency, command.ended)
    return jobs, warnings


def _check_room(turn: Turn, count: int = 1) -> None:
    active = sum(turn.cluster.states_count[state] for state in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED))
    if active + count > turn.settings.jobs_max:
        raise RequestError(
            f"{active} jobs are queued or running, at most {turn.settings.jobs_max} may be (MaxJobCount)",
            "too_many_jobs",
        )


def new_job(turn: Turn, spec: JobSpec) -> Job:
    """Return the pending job that an admitted request would become; nothing is changed."""
    hold = Hold.USER if spec.is_held else Hold.NONE
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
    return replace(job, priority=current_priority(turn, job))


def unsubmitted_job(turn: Turn, spec: JobSpec, ended: EndedOutcomes) -> Job:
    """Return what new_job() does, with what is left of its dependency; its reason tells one that can never hold."""
    job, is_never = resolve_dependency(turn, new_job(turn, spec), ended)
    if is_never:
        return replace(job, reason=Reason.DEPENDENCY_NEVER_SATISFIED)
    return as_judged(turn, job) if job.dependency.terms else job


def resolve_dependency(turn: Turn, job: Job, ended: EndedOutcomes) -> tuple[Job, bool]:
    """Return the job without what holds already, and whether the rest can never hold.

    ended: what only the accounting tables know, of jobs that have left memory.
    """
    if not job.dependency.terms:
        return job, False
    begin_at = job.begin_at or 0.0

    def verdict_of(term: DependencyTerm) -> Verdict:
        nonlocal begin_at
        other = turn.cluster.outcome(term.job_id, term.task_id)
        if term.type == "singleton" or (term.type == "aftercorr" and other is not None):
            return Verdict.WAITS
        if other is not None:
            return judge(term, other, turn.now_at)
        gone = ended.get((term.job_id, term.task_id))
        verdict = judge(term, gone, turn.now_at)
        if verdict is Verdict.WAITS and gone is not None:
            # It started, and ended, long ago; only a pause is left of the condition.
            begin_at = max(begin_at, (gone.started_at or 0.0) + term.delay_s)
            return Verdict.HOLDS
        return verdict

    left, is_never = resolve(job.dependency, verdict_of)
    is_free = not left.terms and job.hold is Hold.NONE
    resolved = replace(
        job,
        dependency=left,
        begin_at=begin_at or None,
        eligible_at=max(begin_at, turn.now_at) if is_free else None,
    )
    return resolved, is_never


def unknown_terms(cluster: Cluster, dependency: Dependency, ended: EndedOutcomes) -> list[str]:
    """Return a warning for each condition on a job that never was, which counts as met (22.05, observed).

    Of ids that were given once nothing is said: their record may have been purged.  ended: as above.
    """
    last_id = cluster.next_job_id - 1
    warnings = []
    for term in dependency.terms:
        if term.job_id > last_id:
            have = f"the last job is {last_id}" if last_id else "there has been no job yet"
            what = f"job {term.job_id} is not known, {have}"
        elif _is_unknown_task(cluster, term) and (term.job_id, term.task_id) not in ended:
            what = f"job {term.job_id} has no task {term.task_id}"
        else:
            continue
        warnings.append(f"dependency on {term.type}: {what}; this condition counts as met")
    return warnings


def _is_unknown_task(cluster: Cluster, term: DependencyTerm) -> bool:
    is_task = term.task_id is not None and cluster.outcome(term.job_id) is not None
    return is_task and cluster.outcome(term.job_id, term.task_id) is None


def _is_to_be_judged(job: Job) -> bool:
    """Is there a condition that resolve_dependency() leaves to the state as it is once the job is there?"""
    return any(term.type in ("singleton", "after", "aftercorr") for term in job.dependency.terms)


def _set_timers(turn: Turn, job: Job) -> None:
    if job.begin_at is not None:
        turn.timers.add(job.begin_at, Due.PASS)
    turn.timers.add_deadline(job)
    turn.timers.add_immediate(job)
