"""What a submission must be, and what it becomes: defaults, checks, refusals with the numbers.

Pure rules over the request, the configuration and the state.  What can never run here is refused; what cannot run
now is accepted, with a warning where the user would not guess it.
"""

from msgspec.structs import replace

from sluice import array_spec, license_spec
from sluice.config.settings import Settings
from sluice.errors import InvalidRequest, NotPermitted, RequestError
from sluice.model.partition import Partition
from sluice.model.reason import Reason
from sluice.model.request import JobSpec
from sluicectld.permissions import Caller, Verb
from sluicectld.scheduler import feasible
from sluicectld.scheduler.limits.partition import find_list_blocker
from sluicectld.scheduler.needs import has_gpus, shape_of
from sluicectld.state.cluster import Cluster

from .numbers import check_numbers
from .reservation_admission import check_reservation_is_named, check_reservations
from .texts import check_texts
from .turn import Turn

#: Durations are kept at minute resolution, rounded up.
_MINUTE_S = 60
_VERDICTS_MAX = 10_000
_UNKNOWN = object()


def admit(turn: Turn, spec: JobSpec, groups: tuple[str, ...]) -> tuple[JobSpec, list[str]]:
    """Return (the request with its defaults, warnings).  Raises RequestError with the reason."""
    spec = _identify(turn.caller, spec)
    check_counts(turn.settings, spec)
    check_resources(turn.settings, spec)
    partitions = _partitions(turn.cluster, spec)
    spec = replace(spec, partitions=tuple(partition.name for partition in partitions))
    spec = _fill(turn.settings, partitions[0], spec)
    check_reservations(turn.cluster, spec, groups)
    _check_times(turn, spec)
    _check_privileged(turn.caller, spec)
    spec = _without_privileges(turn.caller, spec)
    return spec, _check_partitions(turn, partitions, spec, groups)


def _identify(caller: Caller, spec: JobSpec) -> JobSpec:
    """The wire's identity counts; an administrator may submit for another user."""
    if spec.uid == caller.uid or caller.may(Verb.SUBMIT_AS):
        return spec
    raise NotPermitted(f"user {caller.user!r} may not submit as uid {spec.uid}", "invalid_user")


def check_counts(settings: Settings, spec: JobSpec) -> None:
    """Raise RequestError for numbers that make no sense whatever the cluster is."""
    if spec.min_nodes < 1:
        raise InvalidRequest(f"{spec.min_nodes} nodes requested, at least 1 is needed", "node_count")
    if spec.max_nodes and spec.max_nodes < spec.min_nodes:
        raise InvalidRequest(f"at least {spec.min_nodes} but at most {spec.max_nodes} nodes requested", "node_count")
    if spec.ntasks < 1 or spec.cpus_per_task < 1:
        raise InvalidRequest(f"{spec.ntasks} tasks of {spec.cpus_per_task} CPUs requested", "ntasks")
    if min(spec.limit_s or 0, spec.min_limit_s or 0) < 0:
        raise InvalidRequest("a time limit below 0 requested", "time_limit")
    check_numbers(spec)
    check_texts(spec)
    if spec.array:
        _check_array(spec.array)
        greatest = array_spec.greatest(spec.array)
        if greatest >= settings.array_size_max:
            raise InvalidRequest(
                f"array index {greatest} requested, indices must be below {settings.array_size_max} (MaxArraySize)",
                "invalid_array",
            )


def _check_array(ranges: array_spec.Ranges) -> None:
    before = -1
    for first, last, step in ranges:
        if not before < first <= last or step < 1 or (last - first) % step:
            raise InvalidRequest(f"{first}-{last}:{step} after index {before} is no range of an array", "invalid_array")
        before = last


def check_resources(settings: Settings, spec: JobSpec) -> None:
    """Raise InvalidRequest for licenses that do not exist."""
    known = settings.licenses
    terms, is_any = license_spec.parse(spec.licenses)
    missing = [(name, count) for name, count in terms if count > known.get(name, 0)]
    if missing and (not is_any or len(missing) == len(terms)):
        wanted = (" or " if is_any else " and ").join(f"{count} of license {name!r}" for name, count in missing)
        have = [f"{known[name]} of {name!r} exist" for name, _ in missing if name in known]
        if len(have) < len(missing):
            have.append(f"known are {', '.join(known) or 'none'}")
        raise InvalidRequest(f"{wanted} requested, {', '.join(have)} (Licenses)", "invalid_licenses")


def _partitions(cluster: Cluster, spec: JobSpec) -> list[Partition]:
    if not spec.partitions:
        default = next((partition for partition in cluster.partitions.values() if partition.is_default), None)
        if default is None:
            raise InvalidRequest("no partition was named and none is the default", "no_partition")
        return [default]
    unknown = [name for name in spec.partitions if name not in cluster.partitions]
    if unknown:
        raise InvalidRequest(f"invalid partition specified: {','.join(spec.partitions)}", "invalid_partition")
    return [cluster.partitions[name] for name in spec.partitions]


def _fill(settings: Settings, partition: Partition, spec: JobSpec) -> JobSpec:
    """Fill the defaults that the user left open: time limit, memory, name."""
    changes: dict[str, object] = {}
    if spec.limit_s == 0:
        # As Slurm has it: a limit of zero is none.
        changes["limit_s"], changes["is_unlimited"] = None, True
    elif spec.limit_s is None and not spec.is_unlimited:
        limit_s = partition.default_limit_s if partition.default_limit_s is not None else partition.max_limit_s
        changes["limit_s"] = limit_s
        changes["is_unlimited"] = limit_s is None
    elif spec.limit_s is not None:
        changes["limit_s"] = -(-spec.limit_s // _MINUTE_S) * _MINUTE_S
    if spec.min_limit_s:
        changes["min_limit_s"] = -(-spec.min_limit_s // _MINUTE_S) * _MINUTE_S
    if spec.core_spec and settings.allow_spec_resources_usage and spec.exclusive != "node":
        # Cores that stay with the system are kept by having the whole node.
        changes["exclusive"] = "node"
    if spec.memory_per_node_mib is None and spec.memory_per_cpu_mib is None and spec.memory_per_gpu_mib is None:
        per_gpu = _first(partition.default_memory_per_gpu_mib, settings.default_memory_per_gpu_mib)
        per_cpu = _first(partition.default_memory_per_cpu_mib, settings.default_memory_per_cpu_mib)
        per_node = _first(partition.default_memory_per_node_mib, settings.default_memory_per_node_mib)
        if per_gpu and has_gpus(spec):
            changes["memory_per_gpu_mib"] = per_gpu
        elif per_cpu:
            changes["memory_per_cpu_mib"] = per_cpu
        elif per_node:
            changes["memory_per_node_mib"] = per_node
    if not spec.account:
        # Until accounts are kept, the user's name stands for the account nobody asked about.
        changes["account"] = ""
    return replace(spec, **changes)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _check_times(turn: Turn, spec: JobSpec) -> None:
    if spec.min_limit_s and spec.limit_s and spec.min_limit_s > spec.limit_s:
        text = f"a limit of at least {spec.min_limit_s} s requested (--time-min), the limit is {spec.limit_s} s"
        raise InvalidRequest(text, "time_limit")
    if spec.deadline_at is None:
        return
    shortest_s = spec.min_limit_s or spec.limit_s or 0
    begin_at = max(turn.now_at, spec.begin_at or 0.0)
    left_s = spec.deadline_at - begin_at
    if left_s < shortest_s:
        where = f"{left_s:.0f} s away" if left_s > 0 else f"{abs(left_s):.0f} s past"
        raise InvalidRequest(f"the deadline is {where}, the job needs {shortest_s} s", "time_limit")


def _check_privileged(caller: Caller, spec: JobSpec) -> None:
    if spec.nice < 0 and not caller.may(Verb.RAISE_PRIORITY):
        raise RequestError(f"nice {spec.nice} requested, only operators may go below 0", "nice")


def _without_privileges(caller: Caller, spec: JobSpec) -> JobSpec:
    """A priority that the user may not set counts as not asked for; 0 is a hold, which anybody may."""
    if spec.priority == 0:
        return replace(spec, priority=None, is_held=True)
    if spec.priority is not None and not caller.may(Verb.RAISE_PRIORITY):
        return replace(spec, priority=None)
    return spec


def _check_partitions(turn: Turn, partitions: list[Partition], spec: JobSpec, groups: tuple[str, ...]) -> list[str]:
    """Refuse what no partition of the list could ever run; warn of what waits for a change."""
    refusal: RequestError | None = None
    warnings: list[str] = []
    accepted = 0
    for partition in partitions:
        try:
            check_access(turn.caller, partition, spec, groups)
            check_reservation_is_named(turn.cluster, partition, spec)
            warnings += _check_fit(turn, partition, spec)
            accepted += 1
        except RequestError as error:
            refusal = refusal or error
    if refusal is not None and not accepted:
        raise refusal
    return warnings


def check_access(caller: Caller, partition: Partition, spec: JobSpec, groups: tuple[str, ...]) -> None:
    """Raise RequestError unless the job's user may use the partition.  groups: the user's."""
    where = f"partition {partition.name!r}"
    if partition.state in ("INACTIVE", "DRAIN"):
        raise InvalidRequest(f"{where} is {partition.state} and accepts no jobs", "partition_not_available")
    if caller.is_administrator and caller.uid != spec.uid:
        return
    if partition.root_only and spec.uid != 0:
        raise NotPermitted(f"{where} is for root only (RootOnly)")
    if partition.disable_root_jobs and spec.uid == 0:
        raise NotPermitted(f"{where} runs no jobs of root (DisableRootJobs)")
    if partition.allow_groups and not set(partition.allow_groups) & {*groups, spec.group}:
        allowed = ",".join(partition.allow_groups)
        raise NotPermitted(f"{where} is for the groups {allowed}, user {spec.user!r} is in none of them")
    left_out = find_list_blocker(partition, spec.account, spec.qos)
    if left_out is not None:
        is_account = left_out.reason is Reason.ACCOUNT_NOT_ALLOWED
        raise InvalidRequest(left_out.text, "invalid_account" if is_account else "invalid_qos")


def _check_fit(turn: Turn, partition: Partition, spec: JobSpec) -> list[str]:
    verdict = find_verdict(turn, partition, spec)
    if verdict is None:
        return []
    text = "\n".join(part for part in (verdict.message, verdict.details, verdict.nearest) if part)
    if verdict.is_refusal:
        raise RequestError(text, verdict.code)
    return [text]


def find_verdict(turn: Turn, partition: Partition, spec: JobSpec) -> feasible.Verdict | None:
    """Return what stands against the request in a partition, asked once for all of one size: most are twins."""
    cluster = turn.cluster
    key = (partition.name, spec.limit_s, spec.is_unlimited, *shape_of(spec))
    verdict = cluster.verdicts.get(key, _UNKNOWN)
    if verdict is _UNKNOWN:
        nodes = tuple(cluster.nodes[name] for name in partition.nodes if name in cluster.nodes)
        verdict = feasible.check_request(spec, nodes, partition, turn.policy, tuple(cluster.nodes))
        if len(cluster.verdicts) >= _VERDICTS_MAX:
            cluster.verdicts.clear()
        cluster.verdicts[key] = verdict
    assert verdict is None or isinstance(verdict, feasible.Verdict), f"no verdict: {verdict!r}"
    return verdict
