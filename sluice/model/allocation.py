"""What was granted to a job, node by node.

cpus is a kernel cpuset list ("0-3,8") of the node's schedulable CPU numbers; gres units have identity
(the index of the device on its node).
"""

from .base import Record


class GresGrant(Record, frozen=True, kw_only=True):
    """Units of one generic resource on one node."""

    name: str
    type: str = ""
    #: Unit numbers as a kernel list ("0,2"); empty for resources that are only counted.
    units: str = ""
    count: int = 0


class NodeGrant(Record, frozen=True, kw_only=True):
    """One node's part of an allocation."""

    node: str
    cpus: str
    cpu_count: int
    memory_mib: int = 0
    gres: tuple[GresGrant, ...] = ()


class Allocation(Record, frozen=True, kw_only=True):
    """Resources granted to a job: its nodes in the order of ranks.

    tasks_per_node: how a batch script's SLURM_TASKS_PER_NODE counts, one number a node.
    licenses: (name, count) of the whole job.
    """

    grants: tuple[NodeGrant, ...]
    tasks_per_node: tuple[int, ...] = ()
    #: Other jobs of the partition may come onto the same CPUs (OverSubscribe).
    is_sharing: bool = False
    licenses: tuple[tuple[str, int], ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple([grant.node for grant in self.grants])

    @property
    def cpu_count(self) -> int:
        return sum([grant.cpu_count for grant in self.grants])

    @property
    def memory_mib(self) -> int:
        return sum([grant.memory_mib for grant in self.grants])

    def grant_on(self, node: str) -> NodeGrant | None:
        return next((grant for grant in self.grants if grant.node == node), None)
