"""The most CPUs of each node that all jobs of a partition may have together: MaxCPUsPerNode, MaxCPUsPerSocket.

So a partition leaves CPUs of shared nodes to others, such as those that drive GPUs.  A job that takes whole nodes is
not bound by it.  The cap of a socket is kept as the sum over the node's sockets.  Source: the slurm.conf manual.

Invariant: a level that was cut has no more CPUs than the partition may still have there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from sluice.model.node import Node
from sluice.model.partition import Partition
from sluicectld.scheduler.levels import Level, LevelTable
from sluicectld.scheduler.snapshot import RunningJob


class PartitionCpus:
    """How many CPUs each partition with such a cap has on each node, by position."""

    def __init__(
        self,
        table: LevelTable,
        partitions: Mapping[str, Partition],
        running: Sequence[RunningJob],
        position_by_name: Mapping[str, int],
    ) -> None:
        self._table = table
        self._capped = {name: each for name, each in partitions.items() if has_cap(each)}
        self._used: Counter[tuple[str, int]] = Counter()
        for job in running if self._capped else ():
            if job.partition in self._capped:
                for grant in job.allocation.grants:
                    if grant.node in position_by_name:
                        self.add(job.partition, position_by_name[grant.node], grant.cpu_count)

    def is_capped(self, partition: str) -> bool:
        return partition in self._capped

    def add(self, partition: str, position: int, cpus: int) -> None:
        """Count CPUs that a job of the partition takes on a node."""
        if partition in self._capped:
            self._used[partition, position] += cpus

    def cut(self, level: Level, partition: str, position: int | None) -> Level:
        """Return the level with no more CPUs than the partition may have there; position None: on an idle node."""
        used = 0 if position is None else self._used[partition, position]
        left = max(compute_cap(self._capped[partition], level.kind.node) - used, 0)
        if level.cpus <= left:
            return level
        left -= left % level.kind.unit
        return self._table.level(level.kind, left, level.memory_mib, level.gres, level.job_count)


def has_cap(partition: Partition) -> bool:
    return partition.max_cpus_per_node is not None or partition.max_cpus_per_socket is not None


def compute_cap(partition: Partition, node: Node) -> int:
    """Return the most CPUs of the node for all jobs of the partition."""
    caps = [node.cpus]
    if partition.max_cpus_per_node is not None:
        caps.append(partition.max_cpus_per_node)
    if partition.max_cpus_per_socket is not None:
        caps.append(partition.max_cpus_per_socket * node.sockets)
    return min(caps)
