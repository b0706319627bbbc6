"""scontrol update JobId=...: one row a key: who may, in which state, how the text is read, what it changes.

Users may lower what they asked for; operators may raise it.  Nothing changes when one of the keys is refused.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sluice import dependency_spec, duration, gres_spec, hostlist, size, timepoint
from sluice.errors import InvalidRequest, NotFound, NotPermitted, RequestError
from sluice.model.job import Job, PendingArray
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.states import Hold, JobState
from sluice.wire.messages import Done, JobFilter, UpdateJobs
from sluicectld.permissions import Verb
from sluicectld.scheduler import priority
from sluicectld.state.events import JobRevised
from sluicectld.state.timers import Due

from .endings import judge_dependency
from .select import jobs_of_ids, select_jobs
from .turn import Turn

Change = Callable[[Turn, Job, str], Job]


class Key(msgspec.Struct, frozen=True):
    """One key of scontrol update.  pending_only: refused once the job has started."""

    change: Change
    pending_only: bool = True


def handle_update_jobs(turn: Turn, command: UpdateJobs) -> Done:
    """Change every named job; refusals of some are told line by line, of all as the answer."""
    jobs = list(jobs_of_ids(turn.cluster, command.ids)) if command.ids else []
    if command.names:
        jobs += list(select_jobs(turn.cluster, JobFilter(names=command.names)))
    if not jobs:
        raise NotFound(f"no job is called {','.join(command.ids or command.names)}", "invalid_job")
    lines = []
    refusal: RequestError | None = None
    for job in jobs:
        try:
            _update(turn, job, command.changes)
        except RequestError as error:
            refusal = refusal or error
            lines.append(f"{error.message} for job {job.id}")
    if refusal is not None and len(lines) == len(jobs):
        raise refusal
    return Done(lines=tuple(lines))


def _update(turn: Turn, job: Job, changes: tuple[tuple[str, str], ...]) -> None:
    turn.require(Verb.UPDATE_JOB, job)
    if job.is_ended and not job.is_requeued:
        raise RequestError("Job has already finished", "finished")
    revised = job
    for name, value in changes:
        key = KEYS.get(name.lower())
        if key is None:
            raise InvalidRequest(f"{name!r} of a job cannot be changed")
        if key.pending_only and job.state is not JobState.PENDING:
            raise RequestError(f"{name} can be changed while the job is pending only", "not_pending")
        revised = key.change(turn, revised, value)
    if revised.spec is not job.spec:
        revised = replace(revised, spec_id=turn.cluster.next_spec_id)
    turn.emit(JobRevised(at=turn.now_at, job=revised, what="update"))
    if revised.limit_s != job.limit_s:
        turn.timers.add_job_limit(revised)
    if revised.begin_at is not None and revised.begin_at != job.begin_at:
        turn.timers.add(revised.begin_at, Due.PASS)
    if revised.dependency != job.dependency:
        judge_dependency(turn, job.id)
    turn.is_pass_due = True


def _spec(field: str, read: Callable[[str], object]) -> Change:
    """Return the change of one field of the request."""

    def change(turn: Turn, job: Job, value: str) -> Job:
        return replace(job, spec=replace(job.spec, **{field: read(value)}))

    return change


def _number(value: str) -> int:
    if not value.lstrip("-").isdecimal():
        raise InvalidRequest(f"{value!r} is not a number")
    return int(value)


def _nodes(value: str) -> tuple[str, ...]:
    return tuple(hostlist.expand(value)) if value else ()


def _gres(value: str) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(name=name, type=kind, count=count) for name, kind, count in gres_spec.parse(value))


def _yes(value: str) -> bool:
    return value.lower() in ("1", "yes", "y", "true")


def _time_limit(turn: Turn, job: Job, value: str) -> Job:
    """A limit or, with + or -, a difference to it; raising it is for operators."""
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
    if is_raised and not turn.caller.may(Verb.RAISE_LIMIT):
        raise NotPermitted(f"time limit {job.limit_s} s may be lowered; raising it is for operators")
    spec = replace(job.spec, limit_s=limit_s, is_unlimited=limit_s is None)
    return replace(job, limit_s=limit_s, spec=spec)


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
    if not turn.caller.may(Verb.RAISE_PRIORITY) and value != "0":
        raise NotPermitted("priorities are set by operators")
    wanted = _number(value)
    if wanted == 0:
        return replace(job, priority=0, hold=Hold.ADMIN if turn.caller.uid != job.spec.uid else Hold.USER)
    return replace(job, priority=wanted, hold=Hold.NONE, eligible_at=job.eligible_at or turn.now_at)


def _nice(turn: Turn, job: Job, value: str) -> Job:
    nice = _number(value)
    if nice < job.spec.nice and not turn.caller.may(Verb.RAISE_PRIORITY):
        raise NotPermitted(f"nice {job.spec.nice} may be raised; lowering it is for operators")
    revised = replace(job, spec=replace(job.spec, nice=nice))
    partition = turn.cluster.partitions[job.partition]
    return replace(revised, priority=priority.compute_priority(revised, partition, turn.now_at, turn.policy))


def _node_count(turn: Turn, job: Job, value: str) -> Job:
    least, most = size.node_bounds(size.parse_node_sizes(value))
    return replace(job, spec=replace(job.spec, min_nodes=least, max_nodes=most))


def _memory(field: str, other: str) -> Change:
    def change(turn: Turn, job: Job, value: str) -> Job:
        return replace(job, spec=replace(job.spec, **{field: size.parse_mib(value), other: None}))

    return change


def _start_time(turn: Turn, job: Job, value: str) -> Job:
    begin_at = timepoint.parse(value, turn.now_at)
    if begin_at <= turn.now_at:
        return replace(job, begin_at=None, eligible_at=turn.now_at)
    return replace(job, begin_at=begin_at, eligible_at=begin_at)


def _dependency(turn: Turn, job: Job, value: str) -> Job:
    terms, is_any = dependency_spec.parse(value) if value else ((), False)
    dependency = Dependency(
        terms=tuple(
            DependencyTerm(type=kind, job_id=job_id, task_id=task, delay_s=minutes * 60)
            for kind, job_id, task, minutes in terms
        ),
        is_any=is_any,
    )
    if any(term.job_id == job.id for term in dependency.terms):
        raise InvalidRequest(f"job {job.id} cannot depend on itself", "dependency")
    eligible_at = None if dependency.terms else turn.now_at
    return replace(job, dependency=dependency, eligible_at=eligible_at, spec=replace(job.spec, dependency=dependency))


def _throttle(turn: Turn, job: Job, value: str) -> Job:
    if job.pending_array is None:
        raise InvalidRequest(f"job {job.id} is no array with pending tasks", "invalid_array")
    throttle = _number(value)
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
    "nice": Key(_nice),
    "numnodes": Key(_node_count),
    "minnodes": Key(_node_count),
    "numcpus": Key(_spec("ntasks", _number)),
    "numtasks": Key(_spec("ntasks", _number)),
    "cpuspertask": Key(_spec("cpus_per_task", _number)),
    "taskspernode": Key(_spec("ntasks_per_node", _number)),
    "mincpusnode": Key(_spec("min_cpus_per_node", _number)),
    "name": Key(_spec("name", str), pending_only=False),
    "jobname": Key(_spec("name", str), pending_only=False),
    "comment": Key(_spec("comment", str), pending_only=False),
    "admincomment": Key(_spec("admin_comment", str), pending_only=False),
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
    "arraytaskthrottle": Key(_throttle),
    "reqnodelist": Key(_spec("required_nodes", _nodes)),
    "nodelist": Key(_spec("required_nodes", _nodes)),
    "excnodelist": Key(_spec("excluded_nodes", _nodes)),
    "stdout": Key(_spec("std_out", str)),
    "stderr": Key(_spec("std_err", str)),
    "stdin": Key(_spec("std_in", str)),
    "workdir": Key(_spec("work_dir", str)),
    "reservationname": Key(_spec("reservation", str)),
    "licenses": Key(_spec("licenses", str)),
    "contiguous": Key(_spec("is_contiguous", _yes)),
    "oversubscribe": Key(_spec("can_oversubscribe", _yes)),
    "mailuser": Key(_spec("mail_user", str), pending_only=False),
    "wckey": Key(_spec("wckey", str)),
    "switches": Key(_spec("switches", str)),
}
