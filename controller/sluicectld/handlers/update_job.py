"""scontrol update JobId=...: one row a key: who may, in which state, how the text is read, what it changes.

Users may lower what they asked for; operators may raise it.  Nothing changes when one of the keys is refused.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sluice import dependency_spec, duration, gres_spec, hostlist, size, timepoint
from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice.model.job import Job, PendingArray
from sluice.model.reason import Reason
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.states import Hold, JobState
from sluice.wire.messages import Done, JobFilter
from sluicectld.permissions import Verb
from sluicectld.state.commands import ReviseJobs
from sluicectld.state.events import JobRevised
from sluicectld.state.timers import Due

from .admission import check_access, check_counts, check_resources, find_verdict
from .change import new_hold
from .dependents import check_circle, give_up, judge_dependency
from .each import for_each
from .managers import tell_job
from .new_limit import tell_limit
from .numbers import read_count
from .reservation_admission import check_reservations
from .select import named_jobs
from .submit import resolve_dependency, unknown_terms
from .turn import Turn, current_priority

Change = Callable[[Turn, Job, str], Job]


class Key(msgspec.Struct, frozen=True):
    """One key of scontrol update.  pending_only: refused once the job has started; operators_only: to users."""

    change: Change
    pending_only: bool = True
    operators_only: bool = False


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
    found = [text for value in texts for text in unknown_terms(turn.cluster, _read_dependency(value), command.ended)]
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


def _spec(field: str, read: Callable[[str], object]) -> Change:
    """Return the change of one field of the request."""

    def change(turn: Turn, job: Job, value: str) -> Job:
        return replace(job, spec=replace(job.spec, **{field: read(value)}))

    return change


def _least(value: str) -> int:
    """Return the lower one of two bounds, as NumCPUs=2-3 has them."""
    return read_count(value.partition("-")[0] or value)


def _nodes(value: str) -> tuple[str, ...]:
    return tuple(hostlist.expand(value)) if value else ()


def _words(value: str) -> tuple[str, ...]:
    return tuple(word for word in value.split(",") if word)


def _gres(value: str) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in gres_spec.parse(value))


def _yes(value: str) -> bool:
    word = value.lower()
    if word not in ("0", "no", "n", "false", "1", "yes", "y", "true"):
        raise InvalidRequest(f"{value!r} is neither yes nor no")
    return word in ("1", "yes", "y", "true")


def _time_limit(turn: Turn, job: Job, value: str) -> Job:
    """A limit or, with + or -, a difference to it.

    Users may lower it; while the job is pending they may raise it as far as its partitions allow (22.05, observed).
    """
    if value[:1] in ("+", "-") and value != "-1" and job.limit_s is not None:
        delta_s = duration.parse(value[1:]) or 0
        limit_s: int | None = max(60, job.limit_s + (delta_s if value[0] == "+" else -delta_s))
    else:
        try:
            limit_s = duration.parse(value)
        except InvalidRequest:
            raise InvalidRequest("Invalid TimeLimit value", "time_limit") from None
    if limit_s is not None:
        limit_s = -(-limit_s // 60) * 60
    is_raised = job.limit_s is not None and (limit_s is None or limit_s > job.limit_s)
    if is_raised and not turn.caller.may(Verb.RAISE_LIMIT) and not _is_allowed(turn, job, limit_s):
        raise NotPermitted(f"time limit {job.limit_s} s may be lowered; raising it is for operators")
    spec = replace(job.spec, limit_s=limit_s, is_unlimited=limit_s is None)
    # A longer job is warned of its new end.
    changed = replace(job, limit_s=limit_s, spec=spec)
    return replace(changed, warned_at=None, unwarned_nodes=()) if is_raised else changed


def _is_allowed(turn: Turn, job: Job, limit_s: int | None) -> bool:
    """May a pending job have this limit in every partition that it asks for?"""
    if job.state is not JobState.PENDING:
        return False
    found = [turn.cluster.partitions.get(name) for name in job.spec.partitions]
    longest = [partition.max_limit_s for partition in found if partition is not None]
    return all(most is None or (limit_s is not None and limit_s <= most) for most in longest)


def _end_time(turn: Turn, job: Job, value: str) -> Job:
    if job.started_at is None:
        raise RequestError("EndTime can be changed while the job runs", "not_running")
    end_at = timepoint.parse(value, turn.now_at)
    return _time_limit(turn, job, f"{max(1, round((end_at - job.started_at) / 60))}")


def _partition(turn: Turn, job: Job, value: str) -> Job:
    names = tuple(value.split(","))
    unknown = [name for name in names if name not in turn.cluster.partitions]
    if unknown:
        raise InvalidRequest(f"invalid partition specified: {value}", "invalid_partition")
    return replace(job, partition=names[0], spec=replace(job.spec, partitions=names))


def _priority(turn: Turn, job: Job, value: str) -> Job:
    """0 holds the job; any other is an operator's, and releases it."""
    wanted = read_count(value)
    if wanted == 0:
        return replace(job, priority=0, hold=new_hold(turn, job), eligible_at=None)
    if not turn.caller.may(Verb.RAISE_PRIORITY):
        if job.hold is not Hold.NONE:
            raise RequestError(f"job {job.id} is held", "held")
        raise NotPermitted("priorities are set by operators")
    released = replace(job, priority=wanted, hold=Hold.NONE, spec=replace(job.spec, priority=wanted))
    return replace(released, eligible_at=_eligible_at(turn, released))


def _eligible_at(turn: Turn, job: Job) -> float | None:
    """Return since when, or from when, the job could start; None: not before something else happens."""
    if job.hold is not Hold.NONE or job.dependency.terms:
        return None
    return max(turn.now_at, job.begin_at or 0.0)


def _nice(turn: Turn, job: Job, value: str) -> Job:
    nice = -read_count(value[1:]) if value.startswith("-") else read_count(value)
    if nice < job.spec.nice and not turn.caller.may(Verb.RAISE_PRIORITY):
        raise NotPermitted(f"nice {job.spec.nice} may be raised; lowering it is for operators")
    revised = replace(job, spec=replace(job.spec, nice=nice))
    return replace(revised, priority=current_priority(turn, revised))


def _node_count(turn: Turn, job: Job, value: str) -> Job:
    least, most = size.node_bounds(size.parse_node_sizes(value))
    return replace(job, spec=replace(job.spec, min_nodes=least, max_nodes=most))


def _memory(field: str, other: str) -> Change:
    def change(turn: Turn, job: Job, value: str) -> Job:
        return replace(job, spec=replace(job.spec, **{field: size.parse_mib(value), other: None}))

    return change


def _start_time(turn: Turn, job: Job, value: str) -> Job:
    begin_at = timepoint.parse(value, turn.now_at)
    spec = replace(job.spec, begin_at=begin_at if begin_at > turn.now_at else None)
    revised = replace(job, begin_at=spec.begin_at, spec=spec)
    return replace(revised, eligible_at=_eligible_at(turn, revised))


def _deadline(turn: Turn, job: Job, value: str) -> Job:
    """One that is past is refused; one that has come too near for the job ends it (22.05, observed)."""
    deadline_at = timepoint.parse(value, turn.now_at)
    if deadline_at <= turn.now_at:
        raise RequestError(f"the deadline {value} is {turn.now_at - deadline_at:.0f} s past", "deadline_past")
    return replace(job, spec=replace(job.spec, deadline_at=deadline_at))


def _read_dependency(value: str) -> Dependency:
    terms, is_any = dependency_spec.parse(value) if value else ((), False)
    return Dependency(
        terms=tuple(
            DependencyTerm(type=kind, job_id=job_id, task_id=task, delay_s=minutes * 60)
            for kind, job_id, task, minutes in terms
        ),
        is_any=is_any,
    )


def _dependency(turn: Turn, job: Job, value: str) -> Job:
    dependency = _read_dependency(value)
    check_circle(turn.cluster, job, dependency)
    revised = replace(job, dependency=dependency, spec=replace(job.spec, dependency=dependency))
    return replace(revised, eligible_at=_eligible_at(turn, revised))


def _reservation(turn: Turn, job: Job, value: str) -> Job:
    """A running job that is moved counts for the other reservation, or for none, from now on."""
    spec = replace(job.spec, reservation=value)
    first = value.partition(",")[0]
    return replace(job, spec=spec, reservation=job.reservation if job.allocation is None else first)


def _throttle(turn: Turn, job: Job, value: str) -> Job:
    """Of a plain job, and of a task that has started, there is nothing to throttle (22.05 takes it in silence)."""
    throttle = read_count(value)
    if job.pending_array is None:
        return job
    return replace(
        job,
        pending_array=PendingArray(ranges=job.pending_array.ranges, throttle=throttle),
        spec=replace(job.spec, array_throttle=throttle),
    )


KEYS: dict[str, Key] = {
    "timelimit": Key(_time_limit, pending_only=False),
    "endtime": Key(_end_time, pending_only=False),
    "partition": Key(_partition),
    "priority": Key(_priority),
    "nice": Key(_nice, pending_only=False),
    "numnodes": Key(_node_count),
    "minnodes": Key(_node_count),
    "numcpus": Key(_spec("ntasks", _least)),
    "numtasks": Key(_spec("ntasks", _least)),
    "cpuspertask": Key(_spec("cpus_per_task", read_count)),
    "taskspernode": Key(_spec("ntasks_per_node", read_count), operators_only=True),
    "mincpusnode": Key(_spec("min_cpus_per_node", read_count)),
    "name": Key(_spec("name", str), pending_only=False),
    "jobname": Key(_spec("name", str), pending_only=False),
    "comment": Key(_spec("comment", str), pending_only=False),
    "admincomment": Key(_spec("admin_comment", str), pending_only=False, operators_only=True),
    "dependency": Key(_dependency),
    "starttime": Key(_start_time),
    "eligibletime": Key(_start_time),
    "qos": Key(_spec("qos", str)),
    "account": Key(_spec("account", str)),
    "features": Key(_spec("features", str)),
    "gres": Key(_spec("gres_per_node", _gres)),
    "minmemorynode": Key(_memory("memory_per_node_mib", "memory_per_cpu_mib")),
    "minmemorycpu": Key(_memory("memory_per_cpu_mib", "memory_per_node_mib")),
    "requeue": Key(_spec("can_requeue", _yes), pending_only=False),
    "arraytaskthrottle": Key(_throttle, pending_only=False),
    "reqnodelist": Key(_spec("required_nodes", _nodes)),
    "nodelist": Key(_spec("required_nodes", _nodes)),
    "excnodelist": Key(_spec("excluded_nodes", _nodes)),
    "stdout": Key(_spec("std_out", str)),
    "stderr": Key(_spec("std_err", str)),
    "stdin": Key(_spec("std_in", str)),
    "workdir": Key(_spec("work_dir", str)),
    "reservationname": Key(_reservation, pending_only=False),
    "reservation": Key(_reservation, pending_only=False),
    "licenses": Key(_spec("licenses", str)),
    "contiguous": Key(_spec("is_contiguous", _yes), operators_only=True),
    "oversubscribe": Key(_spec("can_oversubscribe", _yes), operators_only=True),
    "deadline": Key(_deadline, operators_only=True),
    "timemin": Key(_spec("min_limit_s", duration.parse)),
    "mailtype": Key(_spec("mail_types", _words), pending_only=False),
    "mailuser": Key(_spec("mail_user", str), pending_only=False),
    "wckey": Key(_spec("wckey", str)),
    "switches": Key(_spec("switches", str)),
}
