"""The working copy of what is free now: a pass takes starts out of it at once, so that later jobs see what is left.

Counts are levels; beside them stand the masks that tell which CPU and unit numbers are free.  What will be free later
is timeline.py's.

Invariant: a node's level counts what its masks have, in whole units.
"""

from collections import Counter
from collections.abc import Iterable

from sluice import cpuset
from sluice.model.allocation import GresGrant, NodeGrant
from sluice.model.request import JobSpec

from .layout import find_whole_units
from .levels import Exactness, Kind, Level, LevelTable, Take, count_whole_units
from .masks import FreeMasks
from .pick_cpus import spread
from .snapshot import NodeFree, Policy, Snapshot


class WorkingCopy:
    """Nodes by position in the snapshot; a position is a node's name everywhere in a pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.policy = policy
        self.table = LevelTable(policy, find_exactness(snapshot))
        self.nodes = snapshot.nodes
        self.names = [free.node.name for free in snapshot.nodes]
        self.position_by_name = {name: position for position, name in enumerate(self.names)}
        self.is_usable = [free.node.is_usable for free in snapshot.nodes]
        #: All positions, lowest weight first, then in the order of the configuration.
        self.placement_order = sorted(
            range(len(snapshot.nodes)), key=lambda position: snapshot.nodes[position].node.weight
        )
        self.levels = self._read_levels(snapshot)
        self.cpu_masks = [free.free_cpus for free in snapshot.nodes]
        self.gres_masks = [tuple(item.free for item in free.gres) for free in snapshot.nodes]
        self.uids_by_position = {position: free.uids for position, free in enumerate(snapshot.nodes) if free.uids}
        self.owner_by_position = {
            position: free.exclusive_uid
            for position, free in enumerate(snapshot.nodes)
            if free.exclusive_uid is not None
        }
        self._level_counts: Counter[tuple[Level, bool]] | None = None
        self._picked_cpus: dict[tuple[int, int, Kind, bool], tuple[int, str]] = {}

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
        """Take the resources out and return them with their numbers: what the take says, else the lowest."""
        level = self.levels[position]
        self._level_counts = None
        if take.masks is None:
            mask, cpus = self._pick_cpus(self.cpu_masks[position], take, level.kind)
        else:
            mask, cpus = take.masks.cpus, cpuset.format(take.masks.cpus)
        self.cpu_masks[position] &= ~mask
        self.levels[position] = self.table.take(level, take)
        gres = self._take_units(position, take) if any(take.gres) else ()
        return NodeGrant(
            node=self.names[position],
            cpus=cpus,
            cpu_count=take.charged or take.cpus,
            memory_mib=take.memory_mib,
            gres=gres,
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
        if kind.is_exact:
            nothing = FreeMasks(0, (0,) * len(free.gres))
            masks = FreeMasks(free.free_cpus, tuple([item.free for item in free.gres]), free.shared)
            memory_mib = 0 if free.exclusive_job else free.free_memory_mib
            return self.table.exact(kind, memory_mib, free.job_count, nothing if free.exclusive_job else masks)
        if free.exclusive_job:
            return self.table.level(kind, 0, 0, (0,) * len(kind.gres), free.job_count or 1)
        cpus = count_whole_units(free.free_cpus, kind.unit)
        gres = tuple([item.free_count for item in free.gres])
        return self.table.level(kind, cpus, free.free_memory_mib, gres, free.job_count)

    def _pick_cpus(self, mask: int, take: Take, kind: Kind) -> tuple[int, str]:
        key = (mask, take.cpus, kind, take.is_block)
        picked = self._picked_cpus.get(key)
        if picked is None:
            whole = find_whole_units(mask, kind.unit)
            taken = spread(whole, -(-take.cpus // kind.unit), kind.layout.sockets, kind.unit, take.is_block)
            picked = self._picked_cpus[key] = (taken, cpuset.format(taken))
        return picked

    def _take_units(self, position: int, take: Take) -> tuple[GresGrant, ...]:
        kind = self.levels[position].kind
        masks = list(self.gres_masks[position])
        grants = []
        for place, count in enumerate(take.gres):
            if not count:
                continue
            name, unit_type, _ = kind.gres[place]
            if kind.is_counted[place]:
                masks[place] -= count
                grants.append(GresGrant(name=name, type=unit_type, count=count))
                continue
            units = take.masks.units[place] if take.masks else cpuset.lowest(masks[place], count)
            masks[place] &= ~units
            grants.append(GresGrant(name=name, type=unit_type, units=cpuset.format(units), count=count))
        self.gres_masks[position] = tuple(masks)
        return tuple(grants)


def find_exactness(snapshot: Snapshot) -> Exactness:
    """Return what in the snapshot asks for levels with numbers."""
    # CPUs that are shared now stay so whatever the configuration says by now.
    sharing = {name for free in snapshot.nodes if free.shared for name, _ in free.shared}
    for partition in snapshot.partitions.values():
        word = partition.oversubscribe.partition(":")[0]
        # YES shares nothing until a job asks for it.
        if word == "FORCE" or (word == "YES" and any(job.spec.can_oversubscribe for job in snapshot.pending)):
            sharing.add(partition.name)
    by_socket = any(_speaks_of_sockets(job.spec) for job in snapshot.pending)
    return Exactness(frozenset(sharing), by_socket)


def _speaks_of_sockets(spec: JobSpec) -> bool:
    return bool(spec.ntasks_per_socket or spec.gres_per_socket) or spec.hint == "memory_bound"
