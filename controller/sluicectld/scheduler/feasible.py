"""Could a request ever run?  Asked once, at submission, of the nodes as configured, whatever runs or is down.

What no set of idle nodes could hold is refused with the numbers and the nearest request that would fit.  What Slurm
accepts although it has to wait for a change of the partition (too many nodes or CPUs in all, too long a limit) is a
warning; the pass then gives the reason (limits/partition.py).  Syntax and permissions are the caller's.

Source: Slurm 22.05, observed; CONTRACT section 15 for the words.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from sluice import duration, feature_expr, hostlist
from sluice.errors import InvalidRequest
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec

from . import funnel
from .census import Census
from .demands import describe_needs
from .layout import compute_idle
from .limits.partition import find_memory_excess
from .marks import threshold_of
from .nearest import describe_nearest
from .needs import Needs, compute_needs
from .search import find_idle
from .shapes import Shape
from .snapshot import Policy, Snapshot
from .working import WorkingCopy

#: Nodes that are tried first: most requests fit on a few, and all nodes of a partition are many.
_FEW_NODES = 16


class Verdict(msgspec.Struct, frozen=True):
    """What stands against a request.

    code: as in sluice/error_texts.py.  message: Slurm's sentence where it has one beside the code's.  details: what was
    wanted, the numbers, and what would fit.  nearest: the funnel and the nearest request that fits (nearest.py).
    """

    is_refusal: bool
    code: str
    message: str = ""
    details: str = ""
    nearest: str = ""

    @property
    def text(self) -> str:
        """The message with its details, on one line."""
        return ": ".join(part for part in (self.message, self.details) if part)


class _Request(msgspec.Struct, frozen=True):
    """What every check looks at."""

    spec: JobSpec
    needs: Needs
    nodes: Sequence[Node]
    partition: Partition
    policy: Policy
    known_names: Sequence[str]

    @property
    def where(self) -> str:
        return f"partition {self.partition.name}"


def check_request(
    spec: JobSpec, nodes: Sequence[Node], partition: Partition, policy: Policy, known_names: Sequence[str] = ()
) -> Verdict | None:
    """Return a refusal, a warning, or None when the request can run on the partition's nodes.

    nodes: the partition's, in configuration order.  known_names: of all nodes of the cluster.
    """
    # Switches are waited for and then done without: they never make a request impossible.
    needs = replace(compute_needs(spec, partition, policy), switches_max=0)
    request = _Request(spec, needs, nodes, partition, policy, known_names)
    for check in _FIRST_CHECKS:
        verdict = check(request)
        if verdict is not None:
            return verdict
    few = max(_FEW_NODES, 2 * needs.nodes_min)
    warning = next((verdict for check in _LIMIT_CHECKS if (verdict := check(request)) is not None), None)
    if warning is not None and warning.code == "partition_config":
        # More of such nodes might hold it; where they would not, its size is no excuse.
        if not _would_hold_more(request):
            warning = _refuse_by_nodes(request)
        return _with_nearest(request, warning)
    if warning is not None and warning.is_refusal:
        return warning
    if _holds(request, nodes[:few]) or _holds(request, nodes):
        return warning
    return _with_nearest(request, _refuse_by_nodes(request))


def _refuse_by_nodes(request: _Request) -> Verdict:
    return next(
        (verdict for check in _NODE_CHECKS if (verdict := check(request)) is not None), _check_together(request)
    )


def _with_nearest(request: _Request, verdict: Verdict) -> Verdict:
    """Return the verdict with the funnel and the nearest request that fits."""
    spec, nodes, partition, policy = request.spec, request.nodes, request.partition, request.policy
    lines = [_funnel(request), describe_nearest(spec, nodes, partition, policy, _idle_copy(request, nodes))]
    return replace(verdict, nearest="\n".join(line for line in lines if line and line not in verdict.details))


def _check_names(request: _Request) -> Verdict | None:
    spec = request.spec
    asked = (*spec.required_nodes, *spec.excluded_nodes)
    if not asked:
        return None
    known = set(request.known_names) or {node.name for node in request.nodes}
    unknown = [name for name in asked if name not in known]
    if unknown:
        return _refuse("invalid_node", details=f"no node is called {hostlist.fold(unknown)}")
    both = set(spec.required_nodes) & set(spec.excluded_nodes)
    if both:
        named = f"node {hostlist.fold(both)} is" if len(both) == 1 else f"nodes {hostlist.fold(both)} are"
        return _refuse("invalid_node", details=f"{named} both asked for (--nodelist) and excluded (--exclude)")
    here = {node.name for node in request.nodes}
    outside = [name for name in spec.required_nodes if name not in here]
    if outside:
        return _refuse("infeasible", details=f"{hostlist.fold(outside)} not in {request.where}")
    if here <= set(spec.excluded_nodes):
        return _refuse("infeasible", details=f"all {len(here)} nodes of {request.where} are excluded")
    if 0 < spec.max_nodes < len(spec.required_nodes):
        count = len(spec.required_nodes)
        return _refuse(
            "node_count", details=f"{count} nodes named (--nodelist), at most {spec.max_nodes} requested (-N)"
        )
    return None


def _check_features(request: _Request) -> Verdict | None:
    if not request.needs.features:
        return None
    try:
        names = feature_expr.names(feature_expr.parse(request.needs.features))
    except InvalidRequest as error:
        return _refuse("invalid_feature", details=error.message)
    known = {feature for node in request.nodes for feature in node.features}
    missing = [name for name in names if name not in known]
    if missing:
        has = f"; it has {', '.join(sorted(known))}" if known else "; its nodes have no features"
        return _refuse("invalid_feature", details=f"no node of {request.where} has {', '.join(missing)}{has}")
    return None


def _check_gres(request: _Request) -> Verdict | None:
    needs = request.needs
    for item in (*needs.gres_per_node, *needs.gres_per_job, *needs.gres_per_task):
        if not any(each.name == item.name for node in request.nodes for each in node.gres):
            return _refuse("invalid_gres", details=f"no node of {request.where} has {item.name}")
    return None


def _check_memory_limit(request: _Request) -> Verdict | None:
    wanted, most = find_memory_excess(request.needs)
    if not wanted:
        return None
    details = f"{wanted} MiB on one node requested, {request.where} allows at most {most} MiB (MaxMemPerNode)"
    return _limit_verdict(request, "memory", details)


def _check_limit(request: _Request) -> Verdict | None:
    spec, longest_s = request.spec, request.partition.max_limit_s
    if longest_s is None or (spec.limit_s is None and not spec.is_unlimited):
        return None
    if spec.limit_s is not None and spec.limit_s <= longest_s:
        return None
    return _limit_verdict(
        request,
        "time_limit",
        f"time limit {duration.format_long(spec.limit_s)}, {request.where} allows at most "
        f"{duration.format_long(longest_s)} (MaxTime)",
    )


def _check_node_count(request: _Request) -> Verdict | None:
    wanted, most = request.needs.nodes_min, request.partition.max_nodes
    if most is not None and wanted > most:
        return _limit_verdict(
            request, "node_count", f"{wanted} nodes requested, {request.where} allows at most {most} (MaxNodes)"
        )
    if wanted > len(request.nodes):
        return _limit_verdict(
            request, "partition_config", f"{wanted} nodes requested, {request.where} has {len(request.nodes)}"
        )
    return None


def _check_segments(request: _Request) -> Verdict | None:
    segment, wanted = request.needs.segment, request.spec.min_nodes
    network = request.policy.networks.get(request.partition.topology)
    if not segment or network is None or not network.map.is_arranging or wanted == 1 or wanted % segment == 0:
        return None
    fitting = wanted - wanted % segment
    near = f"-N {fitting} or -N {fitting + segment}" if fitting else f"-N {segment}"
    details = f"{wanted} nodes requested in segments of {segment}, which leaves {wanted % segment}; {near} would fit"
    return _refuse("node_count", details=details)


def _check_cpu_count(request: _Request) -> Verdict | None:
    needs = request.needs
    wanted = needs.nodes_min if needs.is_overcommitted else needs.tasks * needs.cpus_per_task
    total = sum(node.cpus for node in request.nodes)
    if wanted > total:
        return _limit_verdict(request, "partition_config", f"{wanted} CPUs requested, {request.where} has {total}")
    return None


def _check_node_cpus(request: _Request) -> Verdict | None:
    """Refuse more CPUs on one node than any has: of one task, of all that are to be on it, or as --mincpus asks."""
    needs, spec = request.needs, request.spec
    per_task = 1 if needs.is_overcommitted else needs.cpus_per_task
    on_node = _tasks_on_node(request)
    wanted = max(on_node * per_task, needs.node_cpus_min)
    most = max((node.cpus for node in request.nodes), default=0)
    if request.partition.max_cpus_per_node is not None:
        most = min(most, request.partition.max_cpus_per_node)
    if wanted <= most:
        return None
    tasks = f" ({on_node} tasks of {per_task})" if min(on_node, per_task) > 1 else ""
    if spec.min_cpus_per_node > most:
        fits = f"--mincpus={most} or fewer would fit"
    elif on_node <= most:
        fits = f"-c {most // on_node}{' or fewer' if on_node * 2 <= most else ''} would fit"
    else:
        fits = f"{most} tasks or fewer on one node would fit"
    details = f"{wanted} CPUs on one node{tasks} requested, {request.where} has at most {most}; {fits}"
    return _refuse("infeasible", "CPU count per node can not be satisfied", details)


def _tasks_on_node(request: _Request) -> int:
    """Return how many tasks are to be on one node whatever the nodes are."""
    needs = request.needs
    if needs.is_overcommitted:
        return 1
    named = max((tasks for _, tasks in needs.named_tasks), default=1)
    return max(named, needs.tasks if request.spec.max_nodes == 1 else 1, request.spec.ntasks_per_node)


def _check_memory(request: _Request) -> Verdict | None:
    needs = request.needs
    per_cpu = needs.memory_per_cpu_mib
    if per_cpu and (needs.is_exclusive or needs.is_whole_shared):
        # A whole node has memory to give for each of its CPUs, whatever the tasks use.
        most = max((node.memory_mib // max(node.cpus, 1) for node in request.nodes), default=0)
        wanted, of_what, unit = per_cpu, "for each CPU of a whole node", "MiB a CPU"
    else:
        most = max((node.memory_mib for node in request.nodes), default=0)
        wanted, of_what, unit = max(needs.memory_per_node_mib, per_cpu * needs.cpus_per_task), "on one node", "MiB"
    if wanted <= most:
        return None
    details = f"{wanted} MiB {of_what} requested, {request.where} has at most {most} {unit}"
    return _refuse("infeasible", "Memory specification can not be satisfied", details)


def _check_disk(request: _Request) -> Verdict | None:
    most = max((node.tmp_disk_mib for node in request.nodes), default=0)
    if request.needs.tmp_disk_mib <= most:
        return None
    details = f"{request.needs.tmp_disk_mib} MiB requested, {request.where} has at most {most} MiB"
    return _refuse("infeasible", "Temporary disk specification can not be satisfied", details)


def _check_geometry(request: _Request) -> Verdict | None:
    needs = request.needs
    asked = (needs.sockets_min, needs.cores_per_socket_min, needs.threads_per_core_min)
    have = [(node.sockets, node.cores_per_socket, node.threads_per_core) for node in request.nodes]
    if any(all(map(int.__ge__, each, asked)) for each in have):
        return None
    details = f"sockets:cores:threads {':'.join(map(str, asked))} requested, {request.where} has " + ", ".join(
        sorted({":".join(map(str, each)) for each in have})
    )
    return _refuse("infeasible", "Socket, core and/or thread specification can not be satisfied", details)


def _check_gres_count(request: _Request) -> Verdict | None:
    needs = request.needs
    for item in needs.gres_per_node:
        most = max((_count_gres(node, item) for node in request.nodes), default=0)
        if item.count > most:
            details = f"{_spell(item)} on one node requested, {request.where} has {most}{_other_types(request, item)}"
            return _refuse("infeasible", details=details)
    for item in needs.gres_per_job:
        total = sum(_count_gres(node, item) for node in request.nodes)
        if item.count > total:
            details = f"{_spell(item)} requested, {request.where} has {total}{_other_types(request, item)}"
            return _refuse("infeasible", details=details)
    return None


def _other_types(request: _Request, item: GresRequest) -> str:
    """Return which types there are where there is none of the one that was asked for."""
    types = {each.type for node in request.nodes for each in node.gres if each.name == item.name}
    if not item.type or item.type in types:
        return ""
    named = sorted(types - {""})
    return f"; it has {', '.join(f'{item.name}:{each}' for each in named)}" if named else "; its nodes name no types"


def _check_together(request: _Request) -> Verdict:
    """Say that the demands do not meet on enough nodes, each being met on some."""
    return _refuse("infeasible", details=f"can not be held by idle nodes: {_funnel(request)}")


def _funnel(request: _Request) -> str:
    """Return the funnel on the nodes as they are configured."""
    working = _idle_copy(request, request.nodes)
    shape = _shape(request, working)
    return funnel.write_steps(funnel.compute_configured_steps(shape, Census(working)), describe_needs(shape.needs))


_Check = Callable[[_Request], Verdict | None]
_FIRST_CHECKS: tuple[_Check, ...] = (_check_names, _check_features, _check_gres, _check_segments)
_LIMIT_CHECKS: tuple[_Check, ...] = (_check_node_count, _check_cpu_count, _check_limit, _check_memory_limit)
_NODE_CHECKS: tuple[_Check, ...] = (
    _check_node_cpus,
    _check_memory,
    _check_disk,
    _check_geometry,
    _check_gres_count,
)


def _holds(request: _Request, nodes: Sequence[Node]) -> bool:
    working = _idle_copy(request, nodes)
    shape = _shape(request, working)
    return find_idle(shape, working, shape.configured_candidates()) is not None


def _would_hold_more(request: _Request) -> bool:
    """Would the partition hold the request if it had more nodes like those it has?"""
    working = _idle_copy(request, request.nodes)
    shape = _shape(request, working)
    kinds = (kind for kind in shape.known_kinds() if shape.suits(kind))
    best = max((shape.offer(shape.cut_idle(working.table.idle(kind))) for kind in kinds), default=0)
    most = request.spec.max_nodes
    return best >= threshold_of(shape.needs) and (not most or best * most >= shape.needs.tasks)


def _shape(request: _Request, working: WorkingCopy) -> Shape:
    # A node count that the partition does not allow is a warning of its own; here it must not hide the rest.
    needs = replace(request.needs, nodes_max=request.spec.max_nodes)
    return Shape(needs, request.partition, None, working)


def _idle_copy(request: _Request, nodes: Sequence[Node]) -> WorkingCopy:
    """Return the nodes as if all were up and idle."""
    partition = replace(request.partition, nodes=tuple([node.name for node in nodes]))
    snapshot = Snapshot(0, 0.0, tuple(map(compute_idle, nodes)), {partition.name: partition}, ())
    return WorkingCopy(snapshot, request.policy)


def _limit_verdict(request: _Request, code: str, details: str) -> Verdict:
    is_refusal = request.policy.enforce_partition_limits in ("ALL", "ANY")
    more = "has more" if code == "partition_config" else "allows more"
    end = "refused" if is_refusal else f"the job has to wait until it {more}"
    return Verdict(is_refusal, code, details=f"{details}; {end}")


def _refuse(code: str, message: str = "", details: str = "") -> Verdict:
    return Verdict(True, code, message, details)


def _count_gres(node: Node, item: GresRequest) -> int:
    return sum(each.count for each in node.gres if each.name == item.name and item.type in ("", each.type))


def _spell(item: GresRequest) -> str:
    return f"{item.name}:{item.type + ':' if item.type else ''}{item.count}"
