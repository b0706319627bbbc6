"""How much is free on a node, as counts: equal levels are one object, so that equal nodes share every computation.

A Kind is what nodes of equal configuration have in common; a Level is a kind with so much of it free.  CPU and
unit numbers are not here: which ones a job gets is working.py's.  What will be free later is rows of the same counts.

Invariant: two levels of one table with equal contents are the same object.
"""

from collections.abc import Sequence

import msgspec

from sluice.model.node import Node

from .snapshot import NodeFree, Policy


class Kind:
    """Nodes of equal configuration in the same partitions.  Compared by identity."""

    __slots__ = ("full", "gres", "node", "number", "partitions", "threads_per_core", "unit")

    def __init__(
        self, number: int, node: Node, gres: tuple[tuple[str, str, int], ...], partitions: frozenset[str], unit: int
    ) -> None:
        #: Its place in the table.
        self.number = number
        self.node = node
        #: (name, type, count of units), in the order of the node's resources.
        self.gres = gres
        self.partitions = partitions
        #: CPUs that are granted together.
        self.unit = unit
        self.threads_per_core = node.threads_per_core if unit % node.threads_per_core == 0 else 1
        self.full = Take(node.cpus, node.memory_mib, tuple(count for _, _, count in gres))


class Take(msgspec.Struct, frozen=True):
    """What a job takes from one node: CPUs, MiB, and units of each resource in the order of the kind."""

    cpus: int
    memory_mib: int
    gres: tuple[int, ...] = ()


class Level:
    """So much of a kind is free, with so many jobs on the node.  Compared by identity."""

    __slots__ = ("after_take", "cpus", "gres", "job_count", "kind", "memory_mib")

    def __init__(self, kind: Kind, cpus: int, memory_mib: int, gres: tuple[int, ...], job_count: int) -> None:
        self.kind = kind
        self.cpus = cpus
        self.memory_mib = memory_mib
        self.gres = gres
        self.job_count = job_count
        self.after_take: dict[Take, Level] = {}


class LevelTable:
    """Every kind and level of one pass."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._levels: dict[tuple[Kind, int, int, tuple[int, ...], int], Level] = {}

    @property
    def kinds(self) -> list[Kind]:
        return list(self._kinds.values())

    @property
    def width(self) -> int:
        """How many numbers tell what is free on any node."""
        return 3 + max((len(kind.gres) for kind in self._kinds.values()), default=0)

    @property
    def count(self) -> int:
        """How many levels are known."""
        return len(self._levels)

    def level_of_row(self, kind: Kind, row: Sequence[int]) -> Level:
        """Return the level of a row of the tracks."""
        cpus, memory_mib, job_count, *gres = row[: 3 + len(kind.gres)]
        return self.level(kind, cpus, memory_mib, tuple(gres), job_count)

    def kind(self, free: NodeFree, partitions: frozenset[str]) -> Kind:
        """Return the kind of the node."""
        node = free.node
        gres = tuple((item.name, item.type, item.total.bit_count()) for item in free.gres)
        key = (*_kind_of(node), gres, partitions)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind(len(self._kinds), node, gres, partitions, compute_unit(node, self._policy))
        return kind

    def level(self, kind: Kind, cpus: int, memory_mib: int, gres: tuple[int, ...], job_count: int) -> Level:
        """Return the level with these contents."""
        key = (kind, cpus, memory_mib, gres, job_count)
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(*key)
        return level

    def idle(self, kind: Kind) -> Level:
        """Return the level of a node that nobody uses."""
        full = kind.full
        return self.level(kind, full.cpus, full.memory_mib, full.gres, 0)

    def take(self, level: Level, take: Take) -> Level:
        """Return the level after a job came; it may be negative only for memory that is not counted."""
        after = level.after_take.get(take)
        if after is None:
            gres = tuple(have - taken for have, taken in zip(level.gres, take.gres, strict=True))
            after = self.level(
                level.kind, level.cpus - take.cpus, level.memory_mib - take.memory_mib, gres, level.job_count + 1
            )
            level.after_take[take] = after
        return after

    def lower(self, one: Level, other: Level) -> Level:
        """Return what is free under both: the least of each resource."""
        if one is other:
            return one
        gres = tuple(map(min, one.gres, other.gres))
        cpus, memory_mib = min(one.cpus, other.cpus), min(one.memory_mib, other.memory_mib)
        return self.level(one.kind, cpus, memory_mib, gres, max(one.job_count, other.job_count))


def row_of(level: Level, width: int) -> tuple[int, ...]:
    """Return what is free at the level as the tracks keep it: CPUs, MiB, jobs, units, and zeros up to the width."""
    counts = (level.cpus, level.memory_mib, level.job_count, *level.gres)
    return counts + (0,) * (width - len(counts))


def take_row(take: Take, width: int) -> tuple[int, ...]:
    """Return what a job takes in the same form."""
    counts = (take.cpus, take.memory_mib, 0, *take.gres)
    return counts + (0,) * (width - len(counts))


def compute_unit(node: Node, policy: Policy) -> int:
    """Return how many CPUs are granted together on the node."""
    threads = node.threads_per_core
    if policy.select_unit == "cpu" or node.cpus != node.sockets * node.cores_per_socket * threads:
        return 1
    if policy.select_unit == "socket":
        return node.cores_per_socket * threads
    return threads


def count_whole_units(mask: int, unit: int) -> int:
    """Return how many CPUs of *mask* lie in units that are wholly free."""
    if unit == 1:
        return mask.bit_count()
    return find_whole_units(mask, unit).bit_count()


def find_whole_units(mask: int, unit: int) -> int:
    """Return the CPUs of *mask* whose unit is wholly free."""
    if unit == 1:
        return mask
    whole = (1 << unit) - 1
    found = 0
    for first in range(0, mask.bit_length(), unit):
        if mask >> first & whole == whole:
            found |= whole << first
    return found


def _kind_of(node: Node) -> tuple[object, ...]:
    return (
        node.cpus,
        node.sockets,
        node.cores_per_socket,
        node.threads_per_core,
        node.memory_mib,
        node.tmp_disk_mib,
        node.features,
    )
