"""How much is free on a node, as counts: equal levels are one object, so that equal nodes share every computation.

A Kind is what nodes of equal configuration have in common; a Level is a kind with so much of it free.  Where counts
say all, they are all that a level has; on exact kinds (units near CPUs, parts of GPUs, shared CPUs, requests by socket)
it has the free CPU and unit numbers too, so that what it promises is there.  What will be free later is rows of the
same counts (tracks.py).

Invariant: two levels of one table with equal contents are the same object.
"""

import operator
from collections.abc import Sequence

import msgspec

from sluice.model.node import Node

from . import masks
from .layout import Layout, find_whole_units, layout_of
from .masks import FreeMasks, TakenMasks
from .snapshot import NodeFree, Policy


class Kind:
    """Nodes of equal configuration in the same partitions.  Compared by identity."""

    __slots__ = (
        "charge_unit",
        "full",
        "gres",
        "is_counted",
        "is_exact",
        "is_sharing",
        "layout",
        "node",
        "number",
        "partitions",
        "threads_per_core",
        "unit",
    )

    def __init__(
        self,
        number: int,
        node: Node,
        gres: tuple[tuple[str, str, int], ...],
        partitions: frozenset[str],
        unit: int,
        is_exact: bool = False,
        is_charged_by_cpu: bool = False,
        is_sharing: bool = False,
    ) -> None:
        #: Its place in the table.
        self.number = number
        self.node = node
        #: CPUs that are charged together: under CR_CPU a job keeps whole cores but has the CPUs that it asked for.
        self.charge_unit = 1 if is_charged_by_cpu else unit
        self.layout: Layout = layout_of(node)
        #: Levels have masks.
        self.is_exact = is_exact
        #: Jobs may share CPUs, so that counts of CPUs do not add up.
        self.is_sharing = is_sharing
        #: Which rows of gres have numbers instead of units.
        self.is_counted = tuple([row.is_counted for row in self.layout.rows])
        #: (name, type, count of units), in the order of the node's resources.
        self.gres = gres
        self.partitions = partitions
        #: CPUs that are granted together.
        self.unit = unit
        self.threads_per_core = node.threads_per_core if unit % node.threads_per_core == 0 else 1
        cpus = count_whole_units(self.layout.cpus, unit)
        self.full = Take(cpus, self.layout.memory_mib, tuple(count for _, _, count in gres))

    @property
    def is_charged_by_cpu(self) -> bool:
        """Does a job keep more CPUs than count for it?"""
        return self.charge_unit != self.unit

    @property
    def free(self) -> FreeMasks | None:
        """What is free when nobody is there."""
        if not self.is_exact:
            return None
        return FreeMasks(self.layout.cpus, tuple([row.total for row in self.layout.rows]))


class Take(msgspec.Struct, frozen=True):
    """What a job takes from one node: CPUs, MiB, and units of each resource in the order of the kind."""

    cpus: int
    memory_mib: int
    gres: tuple[int, ...] = ()
    #: Exactly these, on exact kinds.
    masks: TakenMasks | None = None
    #: Few sockets rather than all in turn, where counts leave the choice.
    is_block: bool = False
    #: CPUs that count for the job; 0: all that it takes.
    charged: int = 0


class Level:
    """So much of a kind is free, with so many jobs on the node.  Compared by identity.

    cpus: in whole units that nobody has.  free: the numbers, on exact kinds.
    """

    __slots__ = ("after_return", "after_take", "cpus", "free", "gres", "job_count", "kind", "memory_mib")

    def __init__(
        self,
        kind: Kind,
        cpus: int,
        memory_mib: int,
        gres: tuple[int, ...],
        job_count: int,
        free: FreeMasks | None = None,
    ) -> None:
        self.kind = kind
        self.cpus = cpus
        self.memory_mib = memory_mib
        self.gres = gres
        self.job_count = job_count
        self.free = free
        self.after_take: dict[Take, Level] = {}
        self.after_return: dict[Take, Level] = {}


class Exactness(msgspec.Struct, frozen=True):
    """What makes a kind exact in a pass besides its configuration.

    partitions: those whose jobs share CPUs.  by_socket: some request speaks of sockets.
    """

    partitions: frozenset[str] = frozenset()
    by_socket: bool = False


class LevelTable:
    """Every kind and level of one pass."""

    def __init__(self, policy: Policy, exact: Exactness | None = None) -> None:
        self._policy = policy
        self._exact = exact or Exactness()
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._idle: dict[Kind, Level] = {}
        self._levels: dict[tuple[Kind, int, int, tuple[int, ...], int, FreeMasks | None], Level] = {}

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
        gres = tuple((item.name, item.type, item.total_count) for item in free.gres)
        key = (*_kind_of(node), gres, partitions)
        kind = self._kinds.get(key)
        if kind is None:
            is_sharing = not self._exact.partitions.isdisjoint(partitions)
            is_exact = is_sharing or self._is_exact(node)
            unit = compute_unit(node, self._policy)
            by_cpu = self._policy.select_unit == "cpu"
            kind = self._kinds[key] = Kind(len(self._kinds), node, gres, partitions, unit, is_exact, by_cpu, is_sharing)
        return kind

    def _is_exact(self, node: Node) -> bool:
        layout = layout_of(node)
        return layout.has_near or bool(layout.sharing_rows) or (self._exact.by_socket and len(layout.sockets) > 1)

    def level(
        self,
        kind: Kind,
        cpus: int,
        memory_mib: int,
        gres: tuple[int, ...],
        job_count: int,
        free: FreeMasks | None = None,
    ) -> Level:
        """Return the level with these contents."""
        key = (kind, cpus, memory_mib, gres, job_count, free)
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(*key)
        return level

    def idle(self, kind: Kind) -> Level:
        """Return the level of a node that nobody uses."""
        level = self._idle.get(kind)
        if level is None:
            full = kind.full
            level = self._idle[kind] = self.level(kind, full.cpus, full.memory_mib, full.gres, 0, kind.free)
        return level

    def exact(self, kind: Kind, memory_mib: int, job_count: int, free: FreeMasks) -> Level:
        """Return the level with these numbers free; the counts follow from them."""
        gres = kind.layout.count(free.units)
        return self.level(kind, count_whole_units(free.cpus, kind.unit), memory_mib, gres, job_count, free)

    def take(self, level: Level, take: Take) -> Level:
        """Return the level after a job came; it may be negative only for memory that is not counted."""
        after = level.after_take.get(take)
        if after is None and level.free is not None:
            assert take.masks is not None, "an exact level gives numbers"
            free = masks.take(level.free, take.masks, level.kind.is_counted)
            after = self.exact(level.kind, level.memory_mib - take.memory_mib, level.job_count + 1, free)
            level.after_take[take] = after
        if after is None:
            gres = tuple(have - taken for have, taken in zip(level.gres, take.gres, strict=True))
            after = self.level(
                level.kind, level.cpus - take.cpus, level.memory_mib - take.memory_mib, gres, level.job_count + 1
            )
            level.after_take[take] = after
        return after

    def give_back(self, level: Level, take: Take) -> Level:
        """Return the level after a job left: all is free again when it was the last one."""
        after = level.after_return.get(take)
        if after is None:
            after = level.after_return[take] = self._given_back(level, take)
        return after

    def _given_back(self, level: Level, take: Take) -> Level:
        if level.job_count <= 1:
            return self.idle(level.kind)
        full = level.kind.full
        if level.free is not None:
            return self._exact_back(level, take, min(level.memory_mib + take.memory_mib, full.memory_mib))
        gres = tuple(
            min(have + given, total) for have, given, total in zip(level.gres, take.gres, full.gres, strict=True)
        )
        cpus = min(level.cpus + take.cpus, full.cpus)
        memory_mib = min(level.memory_mib + take.memory_mib, full.memory_mib)
        return self.level(level.kind, cpus, memory_mib, gres, level.job_count - 1)

    def _exact_back(self, level: Level, take: Take, memory_mib: int) -> Level:
        assert level.free is not None, "not an exact level"
        assert take.masks is not None, "an exact level takes numbers back"
        free = masks.give_back(level.free, take.masks, level.kind.is_counted)
        return self.exact(level.kind, memory_mib, level.job_count - 1, free)

    def give_cpus_back(self, level: Level, take: Take) -> Level:
        """Return the level after a job was suspended: what else it has it keeps, and it stays on the node."""
        kind = level.kind
        if level.job_count <= 1:
            # A node that it had as a whole counts as taken with all that is in it.
            idle = self.idle(kind)
            kept = Take(0, take.memory_mib, take.gres, take.masks and TakenMasks(0, take.masks.units))
            return self.take(idle, kept)
        if level.free is not None:
            assert take.masks is not None, "an exact level takes numbers back"
            cpus = TakenMasks(take.masks.cpus, (0,) * len(level.free.units), take.masks.partition)
            free = masks.give_back(level.free, cpus, kind.is_counted)
            return self.exact(kind, level.memory_mib, level.job_count, free)
        cpus_free = min(level.cpus + take.cpus, kind.full.cpus)
        return self.level(kind, cpus_free, level.memory_mib, level.gres, level.job_count)

    def with_cpus(self, level: Level, cpus: int) -> Level:
        """Return the level with only so many of its CPUs, in whole units."""
        if cpus >= level.cpus:
            return level
        cpus = max(cpus, 0) // level.kind.unit * level.kind.unit
        return self.level(level.kind, cpus, level.memory_mib, level.gres, level.job_count)

    def lower(self, one: Level, other: Level) -> Level:
        """Return what is free under both: the least of each resource."""
        if one is other:
            return one
        if one.free is not None and other.free is not None:
            free = masks.lower(one.free, other.free, one.kind.is_counted)
            memory_mib, job_count = min(one.memory_mib, other.memory_mib), max(one.job_count, other.job_count)
            return self.exact(one.kind, memory_mib, job_count, free)
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


def can_give(level: Level, take: Take) -> bool:
    """Is what the take names free at the level?  How many jobs share a CPU already is not looked at."""
    if take.memory_mib > level.memory_mib or any(map(operator.gt, take.gres, level.gres)):
        return False
    if level.free is None or take.masks is None:
        return take.cpus <= level.cpus
    return masks.can_take(level.free, take.masks, level.kind.is_counted)


def compute_unit(node: Node, policy: Policy) -> int:
    """Return how many CPUs are granted together on the node."""
    threads = node.threads_per_core
    if node.cpus != node.sockets * node.cores_per_socket * threads:
        return 1
    unit = node.cores_per_socket * threads if policy.select_unit == "socket" else threads
    usable = layout_of(node).cpus
    # Sockets or cores of which a part is withheld could never be given whole.
    while unit > 1 and count_whole_units(usable, unit) != usable.bit_count():
        unit = threads if unit > threads else 1
    return unit


def count_whole_units(mask: int, unit: int) -> int:
    """Return how many CPUs of *mask* lie in units that are wholly free."""
    if unit == 1:
        return mask.bit_count()
    return find_whole_units(mask, unit).bit_count()


def _kind_of(node: Node) -> tuple[object, ...]:
    return (
        node.cpus,
        node.sockets,
        node.cores_per_socket,
        node.threads_per_core,
        node.memory_mib,
        node.tmp_disk_mib,
        node.features,
        node.core_spec_count,
        node.cpu_spec_list,
        node.mem_spec_limit_mib,
        node.gres_places,
    )
