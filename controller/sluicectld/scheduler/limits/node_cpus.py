"""The most CPUs of each node that all jobs of a partition may have together: MaxCPUsPerNode, MaxCPUsPerSocket.

So a partition leaves CPUs of shared nodes to others, such as those that drive GPUs.  A job that takes whole nodes is
not bound by it.  The cap of a socket is kept as the sum over the node's sockets.  Source: the slurm.conf manual.

Invariant: a level that was cut has no more CPUs than the partition may still have there.
"""

from collections.abc import Mapping, Sequence

from sluice.model.node import Node
from sluice.model.partition import Partition
from sluicectld.scheduler.levels import Level, LevelTable
from sluicectld.scheduler.snapshot import RunningJob

NEVER = float("inf")
#: From when, until when, how many CPUs.
Use = tuple[float, float, int]


class PartitionCpus:
    """How many CPUs each partition with such a cap has on each node, by position, and from when until when."""

    def __init__(self, table: LevelTable, partitions: Mapping[str, Partition]) -> None:
        self._table = table
        self._capped = {name: each for name, each in partitions.items() if has_cap(each)}
        self._used: dict[tuple[str, int], list[Use]] = {}

    def count(self, running: Sequence[RunningJob], position_by_name: Mapping[str, int], now_at: float) -> None:
        """Count what the running jobs have, and nothing else."""
        self._used.clear()
        for job in running if self._capped else ():
            if job.partition in self._capped:
                # A job that should have ended has its CPUs still.
                until_at = NEVER if job.expected_end_at is None else max(job.expected_end_at, now_at + 1)
                for grant in job.allocation.grants:
                    if grant.node in position_by_name:
                        self.add(job.partition, position_by_name[grant.node], (0.0, until_at, grant.cpu_count))

    def is_capped(self, partition: str) -> bool:
        return partition in self._capped

    def add(self, partition: str, position: int, use: Use) -> None:
        """Count CPUs that a job of the partition takes on a node."""
        if partition in self._capped:
            self._used.setdefault((partition, position), []).append(use)

    def remove(self, partition: str, position: int, use: Use) -> None:
        """Undo add()."""
        if partition in self._capped:
            self._used[partition, position].remove(use)

    def cut(self, level: Level, partition: str, position: int, from_at: float, until_at: float) -> Level:
        """Return the level with no more CPUs than the partition may have there all the time."""
        used = _peak(self._used.get((partition, position), ()), from_at, until_at)
        return self._table.with_cpus(level, compute_cap(self._capped[partition], level.kind.node) - used)

    def cut_idle(self, level: Level, partition: str) -> Level:
        """Return the same for a node that nobody uses."""
        return self._table.with_cpus(level, compute_cap(self._capped[partition], level.kind.node))


def _peak(uses: Sequence[Use], from_at: float, until_at: float) -> int:
    """Return the most CPUs that are used at any moment of [from_at, until_at)."""
    moments = {from_at, *(begin_at for begin_at, _, _ in uses if from_at < begin_at < until_at)}
    return max(sum(cpus for begin_at, end_at, cpus in uses if begin_at <= at < end_at) for at in moments)


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
