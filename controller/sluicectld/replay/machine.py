"""The nodes that a trace is replayed on, and what is free on them while it is.

A trace speaks of processors: they are one node's CPUs in one partition, or the nodes of a configuration, where a job of
n processors is n tasks of one CPU in the default partition.  Memory does not count: few traces tell it.  Taking and
giving back is the cluster state's own.
"""

import msgspec
from msgspec.structs import replace

from sluice.config.records import ClusterConfig
from sluice.errors import ConfigError
from sluice.model.allocation import Allocation, NodeGrant
from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.states import NodeState
from sluicectld.configuration import nodes_of, partitions_of
from sluicectld.policy import policy_of
from sluicectld.scheduler.feasible import check_request
from sluicectld.scheduler.layout import compute_idle
from sluicectld.scheduler.snapshot import NodeFree, Policy
from sluicectld.state import resources

_POOL = "pool"


class Machine(msgspec.Struct, frozen=True):
    """nodes: in the order of the configuration.  partition: where the jobs go.  policy: the configuration's own."""

    name: str
    nodes: tuple[Node, ...]
    partitions: dict[str, Partition]
    partition: Partition
    policy: Policy
    licenses: dict[str, int] = {}

    @property
    def processors(self) -> int:
        """CPUs that the jobs can have: those of the partition's nodes."""
        names = set(self.partition.nodes)
        return sum(node.cpus for node in self.nodes if node.name in names)


def pool_machine(processors: int) -> Machine:
    """Return one pool of interchangeable processors."""
    node = Node(name=_POOL, cpus=processors, cores_per_socket=processors, state=NodeState.UP)
    partition = Partition(name=_POOL, nodes=(_POOL,), is_default=True)
    policy = Policy(select_unit="cpu", has_memory=False)
    return Machine(f"{processors} processors", (node,), {_POOL: partition}, partition, policy)


def configured_machine(config: ClusterConfig, file: str, counts_memory: bool = False) -> Machine:
    """Return the nodes of a configuration, all up.  Raises ConfigError when it has no partition for the jobs."""
    nodes = tuple(
        replace(node, state=NodeState.UP, is_responding=True)
        for node in nodes_of(config)
        if node.state is not NodeState.FUTURE
    )
    partitions = partitions_of(config)
    if not partitions:
        raise ConfigError("no partition for the jobs of a trace", file=file)
    partition = next((each for each in partitions if each.is_default), partitions[0])
    # The texts of a plan are not shown here; their clock must not depend on where the replay runs.
    policy = replace(policy_of(config), utc_offset_s=0)
    if not counts_memory:
        policy = replace(policy, has_memory=False)
    by_name = {each.name: each for each in partitions}
    return Machine(f"{len(nodes)} nodes of {file}", nodes, by_name, partition, policy, dict(config.settings.licenses))


def find_refusal(machine: Machine, spec: JobSpec) -> str | None:
    """Return why no idle machine could run the request, None when it could in one of its partitions."""
    refusals = [_find_refusal(machine, spec, machine.partitions.get(name), name) for name in spec.partitions]
    return None if None in refusals else "; ".join(filter(None, refusals))


def _find_refusal(machine: Machine, spec: JobSpec, partition: Partition | None, name: str) -> str | None:
    if partition is None:
        return f"there is no partition {name}"
    names = set(partition.nodes)
    nodes = [node for node in machine.nodes if node.name in names]
    verdict = check_request(spec, nodes, partition, machine.policy)
    return verdict.text or verdict.code if verdict is not None and verdict.is_refusal else None


class FreeNodes:
    """What is free on each node of a machine; grants go out and come back."""

    def __init__(self, machine: Machine) -> None:
        self._free = {node.name: compute_idle(node) for node in machine.nodes}
        self._view: tuple[NodeFree, ...] | None = None
        self._holders: dict[str, dict[int, tuple[NodeGrant, Job]]] = {name: {} for name in self._free}

    def view(self) -> tuple[NodeFree, ...]:
        """Return the nodes as a pass sees them."""
        if self._view is None:
            self._view = tuple(self._free.values())
        return self._view

    def take(self, allocation: Allocation, job: Job) -> None:
        self._view = None
        for grant in allocation.grants:
            before = self._free[grant.node]
            after = self._free[grant.node] = resources.take(before, grant, job)
            left = before.free_cpus.bit_count() - grant.cpu_count
            self._holders[grant.node][job.id] = grant, job
            assert after.free_cpus.bit_count() == left, f"job {job.id} got CPUs {grant.cpus} that are not free"

    def give_back(self, allocation: Allocation, job: Job) -> None:
        self._view = None
        for grant in allocation.grants:
            del self._holders[grant.node][job.id]
            free = resources.give_back(self._free[grant.node], grant, job)
            self._free[grant.node] = self._count_anew(free.node) if free.exclusive_uid is not None else free

    def _count_anew(self, node: Node) -> NodeFree:
        """Return what is left by the jobs that are still there: one of them may keep other users away, or none."""
        free = compute_idle(node)
        for grant, job in self._holders[node.name].values():
            free = resources.take(free, grant, job)
        return free
