"""What scontrol update can change of a job, one row a key: who may, when, how the text is read, what it changes.

Users may lower what they asked for; operators may raise it.
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from sluice import dependency_spec, duration, gres_spec, hostlist, size, timepoint
from sluice.errors import InvalidRequest, NotPermitted, RequestError
from sluice.model.job import Job, PendingArray
from sluice.model.request import Dependency, DependencyTerm, GresRequest
from sluice.model.states import Hold, JobState
from sluicectld.permissions import Verb

from .change import new_hold
from .dependents import check_circle
from .numbers import read_count
from .turn import Turn, current_priority

Change = Callable[[Turn, Job, str], Job]


class Key(msgspec.Struct, frozen=True):
    """One key of scontrol update.  pending_only: refused once the job has started; operators_only: to users."""

    change: Change
    pending_only: bool = True
    operators_only: bool = False


def _spec(field: str, read: Callable[[str], object]) -> Change:
    """Return the change of one field of the request."""

    def change(turn: Turn, job: Job, value: str) -> Job:
        return replace(job, spec=replace(job.spec, **{field: read(value)}))

    return change


def _least(value: str) -> int:
    """Return the lower one of two bounds, as NumCPUs=2-3 has them."""
    low, dash, high = value.partition("-")
    least = read_count(low or value)
    if dash and read_count(high) < least:
        raise InvalidRequest(f"{value!r}: at most {high}, which is below {low}")
    return least


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


def read_dependency(value: str) -> Dependency:
    terms, is_any = dependency_spec.parse(value) if value else ((), False)
    return Dependency(
        terms=tuple(
            DependencyTerm(type=kind, job_id=job_id, task_id=task, delay_s=minutes * 60)
            for kind, job_id, task, minutes in terms
        ),
        is_any=is_any,
    )


def _dependency(turn: Turn, job: Job, value: str) -> Job:
    dependency = read_dependency(value)
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
