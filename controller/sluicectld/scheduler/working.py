"""The working copy of what is free now: a pass takes starts out of it at once, so that later jobs see what is left.

Counts are levels; beside them stand the masks that tell which CPU and unit numbers are free.  What will be free later
is timeline.py's.

Invariant: a node's level counts what its masks have, in whole units.
"""

from collections import Counter
from collections.abc import Iterable

from sluice import cpuset
from sluice.model.allocation import GresGrant, NodeGrant

from .levels import Level, LevelTable, Take, count_whole_units, find_whole_units
from .limits.node_cpus import PartitionCpus
from .snapshot import NodeFree, Policy, Snapshot


class WorkingCopy:
    """Nodes by position in the snapshot; a position is a node's name everywhere in a pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.table = LevelTable(policy)
        self.nodes = snapshot.nodes
        self.names = [free.node.name for free in snapshot.nodes]
        self.position_by_name = {name: position for position, name in enumerate(self.names)}
        self.is_usable = [free.node.is_usable for free in snapshot.nodes]
        #: All positions, lowest weight first, then in the order of the configuration.
        self.placement_order = sorted(
            range(len(snapshot.nodes)), key=lambda position: snapshot.nodes[position].node.weight
        )
        self.levels = self._read_levels(snapshot)
        self.partition_cpus = PartitionCpus(self.table, snapshot.partitions, snapshot.running, self.position_by_name)
        self.cpu_masks = [free.free_cpus for free in snapshot.nodes]
        self.gres_masks = [tuple(item.free for item in free.gres) for free in snapshot.nodes]
        self.uids_by_position = {position: free.uids for position, free in enumerate(snapshot.nodes) if free.uids}
        self.owner_by_position = {
            position: free.exclusive_uid
            for position, free in enumerate(snapshot.nodes)
            if free.exclusive_uid is not None
        }
        self._level_counts: Counter[tuple[Level, bool]] | None = None
        self._picked_cpus: dict[tuple[int, int, int], tuple[int, str]] = {}

    def positions_of(self, names: Iterable[str]) -> frozenset[int]:
        """Return the positions of the names that are nodes."""
        return frozenset(self.position_by_name[name] for name in names if name in self.position_by_name)

    def is_foreign(self, position: int, uid: int, is_user_exclusive: bool) -> bool:
        """Is the node kept from this user, or used by others when the job wants no others beside it?"""
        owner = self.owner_by_position.get(position)
        if owner is not None and owner != uid:
            return True
        return is_user_exclusive and any(other != uid for other in self.uids_by_position.get(position, ()))

    def count_levels(self) -> Counter[tuple[Level, bool]]:
        """Return how many nodes are at each level, usable ones and others apart."""
        if self._level_counts is None:
            self._level_counts = Counter(zip(self.levels, self.is_usable, strict=True))
        return self._level_counts

    def grant(self, position: int, take: Take) -> NodeGrant:
        """Take the resources out and return them with their numbers, lowest first."""
        level = self.levels[position]
        self._level_counts = None
        mask, cpus = self._pick_cpus(self.cpu_masks[position], take.cpus, level.kind.unit)
        self.cpu_masks[position] ^= mask
        self.levels[position] = self.table.take(level, take)
        gres = self._take_units(position, take) if any(take.gres) else ()
        return NodeGrant(
            node=self.names[position], cpus=cpus, cpu_count=take.cpus, memory_mib=take.memory_mib, gres=gres
        )

    def note_user(self, position: int, uid: int, is_user_exclusive: bool) -> None:
        """Remember who came to the node."""
        self.uids_by_position[position] = (*self.uids_by_position.get(position, ()), uid)
        if is_user_exclusive:
            self.owner_by_position[position] = uid

    def _read_levels(self, snapshot: Snapshot) -> list[Level]:
        partitions_by_node: dict[str, list[str]] = {}
        for partition in snapshot.partitions.values():
            for name in partition.nodes:
                partitions_by_node.setdefault(name, []).append(partition.name)
        memberships: dict[tuple[str, ...], frozenset[str]] = {}
        levels = []
        for free in snapshot.nodes:
            names = tuple(partitions_by_node.get(free.node.name, ()))
            membership = memberships.setdefault(names, frozenset(names))
            levels.append(self._read_level(free, membership))
        return levels

    def _read_level(self, free: NodeFree, partitions: frozenset[str]) -> Level:
        kind = self.table.kind(free, partitions)
        if free.exclusive_job:
            return self.table.level(kind, 0, 0, (0,) * len(kind.gres), free.job_count or 1)
        cpus = count_whole_units(free.free_cpus, kind.unit)
        gres = tuple(item.free.bit_count() for item in free.gres)
        return self.table.level(kind, cpus, free.free_memory_mib, gres, free.job_count)

    def _pick_cpus(self, mask: int, count: int, unit: int) -> tuple[int, str]:
        key = (mask, count, unit)
        picked = self._picked_cpus.get(key)
        if picked is None:
            whole = find_whole_units(mask, unit)
            taken = whole if count >= whole.bit_count() else cpuset.lowest(whole, count)
            picked = self._picked_cpus[key] = (taken, cpuset.format(taken))
        return picked

    def _take_units(self, position: int, take: Take) -> tuple[GresGrant, ...]:
        masks = list(self.gres_masks[position])
        grants = []
        for place_number, count in enumerate(take.gres):
            if count:
                name, kind, _ = self.levels[position].kind.gres[place_number]
                units = cpuset.lowest(masks[place_number], count)
                masks[place_number] ^= units
                grants.append(GresGrant(name=name, type=kind, units=cpuset.format(units), count=count))
        self.gres_masks[position] = tuple(masks)
        return tuple(grants)
