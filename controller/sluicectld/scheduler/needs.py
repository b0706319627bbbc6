"""What a request needs on the nodes of one partition: a JobSpec boiled down to numbers to compare with a node.

Defaults are resolved here (memory, whole nodes, tasks implied by a node count), so that the rooms after this one
never look at a JobSpec.  Whether a node can give it is offer.py's.

Invariant: two jobs with equal shape keys have equal needs.
"""

import operator
from collections import Counter

import msgspec
from msgspec.structs import replace

from sluice import license_spec
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.request import GresRequest, JobSpec

from .limits.memory import MemoryShare, bound_memory
from .snapshot import Policy

#: Everything of a spec that decides where it fits.
_SHAPE_FIELDS = (
    "min_nodes",
    "max_nodes",
    "ntasks",
    "cpus_per_task",
    "ntasks_per_node",
    "ntasks_per_core",
    "ntasks_per_socket",
    "min_cpus_per_node",
    "memory_per_node_mib",
    "memory_per_cpu_mib",
    "memory_per_gpu_mib",
    "tmp_disk_mib",
    "gres_per_node",
    "gres_per_job",
    "gres_per_task",
    "gres_per_socket",
    "cpus_per_gpu",
    "required_nodes",
    "task_nodes",
    "excluded_nodes",
    "features",
    "licenses",
    "is_contiguous",
    "exclusive",
    "is_overcommitted",
    "sockets_per_node",
    "cores_per_socket",
    "threads_per_core",
    "hint",
    "given",
    "switches",
    "segment",
    "can_oversubscribe",
    "core_spec",
    "distribution",
    "other",
)
#: Hints that want one thread of each core.
_ONE_THREAD_HINTS = ("nomultithread", "compute_bound", "memory_bound")
#: spec -> a key: two requests with the same fit the same nodes.
shape_of = operator.attrgetter(*_SHAPE_FIELDS)

#: limit, partition, user (0 unless some job keeps its nodes to one user), and the fields above.
ShapeKey = tuple[int | None, str, int, tuple[object, ...]]


class Needs(msgspec.Struct, frozen=True):
    """One request in one partition.

    tasks: never fewer than the nodes asked.  node_tasks_max: 0 for no cap; node_tasks_min: a node offering fewer is of
    no use.  Exactly one of the memory kinds is set; is_whole_memory asks for all that a node has.
    """

    tasks: int
    cpus_per_task: int
    nodes_min: int
    #: 0: no maximum.
    nodes_max: int
    node_tasks_min: int = 1
    node_tasks_max: int = 0
    tasks_per_core_max: int = 0
    threads_per_core_max: int = 0
    node_cpus_min: int = 0
    #: 0: no cap.
    node_cpus_max: int = 0
    memory_per_node_mib: int = 0
    memory_per_cpu_mib: int = 0
    memory_per_gpu_mib: int = 0
    #: The most of one node; 0: no cap.
    memory_max_mib: int = 0
    is_whole_memory: bool = False
    tmp_disk_mib: int = 0
    gres_per_node: tuple[GresRequest, ...] = ()
    gres_per_job: tuple[GresRequest, ...] = ()
    gres_per_task: tuple[GresRequest, ...] = ()
    cpus_per_gpu: int = 0
    required_nodes: tuple[str, ...] = ()
    #: The required nodes with the tasks of each, where the request says so: these and no others.
    named_tasks: tuple[tuple[str, int], ...] = ()
    excluded_nodes: tuple[str, ...] = ()
    features: str = ""
    is_contiguous: bool = False
    is_exclusive: bool = False
    is_user_exclusive: bool = False
    is_overcommitted: bool = False
    has_task_count: bool = False
    #: The user gave a minimum and a larger maximum of nodes.
    is_ranged: bool = False
    sockets_min: int = 0
    cores_per_socket_min: int = 0
    threads_per_core_min: int = 0
    #: All of these.
    licenses: tuple[tuple[str, int], ...] = ()
    #: Leaf switches at most; 0: any number.
    switches_max: int = 0
    #: Nodes of a segment, which lie in one block; 0: no segments.
    segment: int = 0
    #: Tasks on one socket at most, 0 for no cap.  Each task is then on one socket.
    socket_tasks_max: int = 0
    #: So many units near each of sockets_min sockets; gres_per_node has their sum.
    gres_per_socket: tuple[GresRequest, ...] = ()
    #: Tasks that share a GPU, which then follow from the tasks; 0: they do not.
    tasks_per_gpu: int = 0
    #: CPUs near the units: "prefer", "enforce" (no others, and some near each unit) or "ignore".
    binding: str = "prefer"
    #: Few sockets rather than all in turn.
    is_block: bool = False
    #: Jobs on one CPU at most, all of the partition sharing_in; 1: not shared.
    sharers_max: int = 1
    sharing_in: str = ""
    #: Takes every CPU of its nodes although others may come beside it (whole nodes where sharing is forced).
    is_whole_shared: bool = False
    #: Cores of each node that stay with the system.
    core_spec: int = 0
    #: Nodes with these come first; the batch script's node has those.
    preferred_features: str = ""
    batch_features: str = ""
    #: As many nodes as there are tasks, with as many tasks on each.
    is_spread: bool = False
    #: As many tasks on each node as on the others, where whole nodes leave the choice.
    is_even: bool = False
    #: CPUs and memory decide task by task, and units of one resource at most once for all (offer.py).
    is_plain: bool = False
    #: And any one of these, if there are some.
    license_choices: tuple[tuple[str, int], ...] = ()

    @property
    def is_single_node(self) -> bool:
        """Can the request be held by one node and no more?"""
        return self.nodes_max == 1 or self.tasks == 1


def compute_shape_key(job: Job, partition: str, user: int = 0) -> ShapeKey:
    """Return what decides whether and where the job fits: equal keys fit equally."""
    return job.limit_s, partition, user, shape_of(job.spec)


def compute_needs(spec: JobSpec, partition: Partition, policy: Policy) -> Needs:
    """Return the needs of *spec* in *partition*, defaults resolved."""
    nodes_min = max(spec.min_nodes, len(spec.required_nodes), partition.min_nodes, 1)
    tasks = _task_count(spec, nodes_min)
    has_task_count = "ntasks" in spec.given
    other = dict(spec.other)
    share, memory_max_mib = _memory_share(spec, partition, policy, _node_tasks_max(spec, _tasks_per_gpu(spec, other)))
    needs = Needs(
        tasks=tasks,
        cpus_per_task=share.cpus_per_task,
        nodes_min=nodes_min,
        nodes_max=_nodes_max(spec, partition),
        node_tasks_min=spec.ntasks_per_node if spec.ntasks_per_node and not has_task_count else 1,
        node_tasks_max=share.node_tasks_max,
        tasks_per_core_max=spec.ntasks_per_core or int(policy.is_one_task_per_core),
        threads_per_core_max=1 if spec.hint in _ONE_THREAD_HINTS else spec.threads_per_core,
        node_cpus_min=share.node_cpus_min,
        node_cpus_max=partition.max_cpus_per_node or 0,
        memory_per_node_mib=share.per_node_mib,
        memory_per_cpu_mib=share.per_cpu_mib,
        memory_per_gpu_mib=share.per_gpu_mib,
        memory_max_mib=memory_max_mib,
        is_whole_memory=policy.has_memory and not (share.per_node_mib or share.per_cpu_mib or share.per_gpu_mib),
        tmp_disk_mib=spec.tmp_disk_mib,
        gres_per_node=(*spec.gres_per_node, *_scaled(spec.gres_per_socket, max(spec.sockets_per_node, 1))),
        gres_per_job=spec.gres_per_job,
        gres_per_task=spec.gres_per_task,
        cpus_per_gpu=spec.cpus_per_gpu or _default_cpus_per_gpu(spec, partition, policy),
        required_nodes=spec.required_nodes,
        named_tasks=tuple(Counter(spec.nodes_of_ranks).items()),
        excluded_nodes=spec.excluded_nodes,
        features=spec.features,
        is_contiguous=spec.is_contiguous,
        is_exclusive=is_whole_node(spec, partition, policy) and count_sharers(spec, partition) == 1,
        is_user_exclusive=spec.exclusive == "user" or partition.exclusive_user,
        is_overcommitted=spec.is_overcommitted,
        has_task_count=has_task_count,
        is_ranged=spec.max_nodes > spec.min_nodes and spec.min_nodes > 0 and "use-min-nodes" not in other,
    )
    return _refine(needs, spec, partition, policy)


def _refine(needs: Needs, spec: JobSpec, partition: Partition, policy: Policy) -> Needs:
    """Add what tells which CPUs and units and which of several nodes."""
    other = dict(spec.other)
    sharers_max = count_sharers(spec, partition)
    is_whole = is_whole_node(spec, partition, policy)
    licenses, is_any_license = license_spec.parse(spec.licenses)
    needs = replace(
        needs,
        sockets_min=spec.sockets_per_node,
        cores_per_socket_min=spec.cores_per_socket,
        threads_per_core_min=spec.threads_per_core,
        switches_max=_switches_max(spec.switches),
        segment=spec.segment,
        socket_tasks_max=spec.ntasks_per_socket or int(spec.hint == "memory_bound"),
        gres_per_socket=spec.gres_per_socket,
        tasks_per_gpu=0 if has_gpus(spec) else _tasks_per_gpu(spec, other),
        binding=_binding(other),
        is_block=_is_block(spec.distribution, policy),
        sharers_max=sharers_max,
        sharing_in=partition.name if sharers_max > 1 else "",
        is_whole_shared=is_whole and sharers_max > 1,
        core_spec=_core_spec(spec, policy),
        preferred_features=other.get("prefer", ""),
        batch_features=other.get("batch", ""),
        is_spread="spread-job" in other,
        is_even=is_whole and needs.has_task_count and not policy.packs_tasks,
        licenses=() if is_any_license else licenses,
        license_choices=licenses if is_any_license else (),
    )
    return replace(needs, is_plain=_is_plain(needs))


def _is_plain(needs: Needs) -> bool:
    """Does a node hold as many tasks as CPUs and memory allow, each one counting alike?"""
    odd = (
        needs.node_tasks_min > 1,
        needs.node_tasks_max,
        needs.tasks_per_core_max,
        needs.threads_per_core_max,
        needs.node_cpus_min > needs.cpus_per_task,
        needs.node_cpus_max,
        needs.memory_per_gpu_mib,
        needs.is_whole_memory,
        # One resource of the node is there or not; where its CPUs are only matters when binding is enforced.
        len(needs.gres_per_node) > 1 or needs.gres_per_socket,
        needs.gres_per_node and needs.binding == "enforce",
        needs.gres_per_task,
        needs.cpus_per_gpu and (needs.gres_per_node or needs.gres_per_job),
        needs.is_exclusive,
        needs.is_overcommitted,
        needs.socket_tasks_max,
        needs.tasks_per_gpu,
        needs.sharers_max > 1,
        needs.core_spec,
    )
    return not any(odd)


def is_whole_node(spec: JobSpec, partition: Partition, policy: Policy) -> bool:
    """Does the job take every CPU of its nodes?"""
    return (
        spec.exclusive == "node"
        or partition.oversubscribe.startswith("EXCLUSIVE")
        or policy.select_unit == "node"
        or _core_spec(spec, policy) > 0
    )


def count_sharers(spec: JobSpec, partition: Partition) -> int:
    """Return how many jobs may be on a CPU of this one: OverSubscribe=YES:n for those that ask, FORCE:n for all."""
    word, _, count = partition.oversubscribe.partition(":")
    if word == "FORCE" or (word == "YES" and spec.can_oversubscribe and spec.exclusive != "node"):
        return max(int(count or 4), 1)
    return 1


def _switches_max(text: str) -> int:
    count = text.partition("@")[0]
    return int(count) if count.isdecimal() else 0


def _task_count(spec: JobSpec, nodes_min: int) -> int:
    if spec.ntasks_per_node and "ntasks" not in spec.given:
        return max(spec.ntasks, nodes_min * spec.ntasks_per_node)
    return max(spec.ntasks, nodes_min)


def _nodes_max(spec: JobSpec, partition: Partition) -> int:
    limits = [limit for limit in (spec.max_nodes, partition.max_nodes) if limit]
    return min(limits, default=0)


def _node_tasks_max(spec: JobSpec, tasks_per_gpu: int) -> int:
    on_node = sum(item.count for item in spec.gres_per_node if item.name == "gpu") if tasks_per_gpu else 0
    caps = [cap for cap in (spec.ntasks_per_node, tasks_per_gpu * on_node) if cap]
    return min(caps, default=0)


def _tasks_per_gpu(spec: JobSpec, other: dict[str, str]) -> int:
    text = other.get("ntasks-per-gpu", "")
    return int(text) if text.isdecimal() else 0


def has_gpus(spec: JobSpec) -> bool:
    """Does the request name GPUs?"""
    every = (*spec.gres_per_node, *spec.gres_per_job, *spec.gres_per_task, *spec.gres_per_socket)
    return any(item.name == "gpu" for item in every)


def _default_cpus_per_gpu(spec: JobSpec, partition: Partition, policy: Policy) -> int:
    if "cpus-per-task" in spec.given:
        return 0
    return policy.default_cpus_per_gpu if partition.default_cpus_per_gpu is None else partition.default_cpus_per_gpu


def _binding(other: dict[str, str]) -> str:
    flags = other.get("gres-flags", "").lower()
    if "disable-binding" in flags:
        return "ignore"
    return "enforce" if "enforce-binding" in flags else "prefer"


def _is_block(distribution: str, policy: Policy) -> bool:
    """The word after the first colon is about sockets: -m block:cyclic."""
    words = distribution.lower().split(",")[0].split(":")
    by_socket = words[1] if len(words) > 1 else "*"
    if by_socket in ("cyclic", "fcyclic"):
        return False
    return by_socket == "block" or policy.is_block_by_default


def _core_spec(spec: JobSpec, policy: Policy) -> int:
    return spec.core_spec if policy.allows_core_spec else 0


def _memory_share(spec: JobSpec, partition: Partition, policy: Policy, node_tasks_max: int) -> tuple[MemoryShare, int]:
    """Return what is asked on a node within the most memory that is given, and the most of one node (0: no cap)."""
    memory = _memory(spec, partition, policy)
    per_cpu_max_mib = _first(partition.max_memory_per_cpu_mib, policy.max_memory_per_cpu_mib)
    per_node_max_mib = _first(partition.max_memory_per_node_mib, policy.max_memory_per_node_mib)
    if not policy.has_memory:
        per_cpu_max_mib = per_node_max_mib = 0
    elif per_node_max_mib and not any(memory.values()):
        # All memory of a node means all that one job may have of it.
        memory = {"node": per_node_max_mib}
    asked = MemoryShare(
        max(spec.cpus_per_task, 1),
        memory.get("node", 0),
        memory.get("cpu", 0),
        memory.get("gpu", 0),
        max(spec.min_cpus_per_node, spec.ntasks_per_node * spec.cpus_per_task),
        node_tasks_max,
    )
    return bound_memory(asked, per_cpu_max_mib, per_node_max_mib), per_node_max_mib


def _first(own: int | None, clusters: int | None) -> int:
    return (clusters if own is None else own) or 0


def _memory(spec: JobSpec, partition: Partition, policy: Policy) -> dict[str, int]:
    """Return MiB by the unit that it is asked for; memory that nobody asked or configured is the whole node's."""
    if not policy.has_memory:
        return {}
    choices = (
        ("node", spec.memory_per_node_mib),
        ("cpu", spec.memory_per_cpu_mib),
        ("gpu", spec.memory_per_gpu_mib),
        ("gpu", _default_gpu_memory(spec, partition, policy)),
        ("cpu", partition.default_memory_per_cpu_mib),
        ("node", partition.default_memory_per_node_mib),
        ("cpu", policy.default_memory_per_cpu_mib),
        ("node", policy.default_memory_per_node_mib),
    )
    return next(({unit: value} for unit, value in choices if value is not None), {})


def _default_gpu_memory(spec: JobSpec, partition: Partition, policy: Policy) -> int | None:
    if not has_gpus(spec):
        return None
    return (
        policy.default_memory_per_gpu_mib
        if partition.default_memory_per_gpu_mib is None
        else partition.default_memory_per_gpu_mib
    ) or None


def _scaled(gres: tuple[GresRequest, ...], factor: int) -> tuple[GresRequest, ...]:
    return tuple(GresRequest(name=item.name, type=item.type, count=item.count * factor) for item in gres)
