"""The working copy of what is free now: a pass takes starts out of it at once, so that later jobs see what is left.

Counts are levels; beside them stand the masks that tell which CPU and unit numbers are free.  What will be free later
is timeline.py's.  The copy outlives its pass: update() brings it to the next snapshot.

Invariant: a node's level counts what its masks have, in whole units.
"""

import itertools
import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from sluice import cpuset
from sluice.model.allocation import GresGrant, NodeGrant

from . import masks
from .arrange import Arranger, bind_networks
from .layout import find_whole_units
from .levels import Exactness, Kind, Level, LevelTable, Take, count_whole_units, row_of
from .limits.node_cpus import PartitionCpus
from .masks import FreeMasks
from .pick_cpus import spread
from .roll import Roll, Traits
from .snapshot import NodeFree, Policy, Snapshot

_Value = TypeVar("_Value")
_shared = operator.attrgetter("shared")
#: How a node stood: its position, what is free, who is there and who owns it.
Saved = tuple[int, tuple[Level, int, tuple[int, ...]], tuple[int, ...] | None, int | None]
#: Choices of CPU numbers that are remembered.
_PICKS_MAX = 20_000
#: Lists of usable positions that are remembered.
_LISTS_MAX = 1000


class WorkingCopy:
    """Nodes by position in the snapshot; a position is a node's name everywhere in a pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.policy = policy
        #: What the pending jobs ask for.
        self.roll = Roll()
        self.exactness = find_exactness(snapshot, self.roll.read(snapshot.pending))
        self.table = LevelTable(policy, self.exactness)
        self.nodes: Sequence[NodeFree] = snapshot.nodes
        self.names = [free.node.name for free in snapshot.nodes]
        self.position_by_name = {name: position for position, name in enumerate(self.names)}
        self.is_usable = [free.node.is_usable for free in snapshot.nodes]
        #: Changes whenever a node becomes usable or unusable.
        self.usable_version = 0
        self._weights = [free.node.weight for free in snapshot.nodes]
        #: All positions, lowest weight first, then in the order of the configuration.
        self.placement_order = sorted(range(len(snapshot.nodes)), key=self._weights.__getitem__)
        self._memberships = _read_memberships(snapshot)
        self.kinds = [
            self.table.kind(free, membership)
            for free, membership in zip(snapshot.nodes, self._memberships, strict=True)
        ]
        self.levels = [self._read_level(free, kind) for free, kind in zip(snapshot.nodes, self.kinds, strict=True)]
        self.cpu_masks = [free.free_cpus for free in snapshot.nodes]
        self.gres_masks = [tuple(item.free for item in free.gres) for free in snapshot.nodes]
        self.uids_by_position = {position: free.uids for position, free in enumerate(snapshot.nodes) if free.uids}
        self.owner_by_position = {
            position: free.exclusive_uid
            for position, free in enumerate(snapshot.nodes)
            if free.exclusive_uid is not None
        }
        self.partition_cpus = PartitionCpus(self.table, snapshot.partitions)
        self.partition_cpus.count(snapshot.running, self.position_by_name, snapshot.now_at)
        self._touched: set[int] = set()
        self._kind_counts: Counter[tuple[Kind, bool]] = Counter()
        self._kinds_seen = -1
        #: By the name of the topology that a partition gives; empty without a topology.
        self.arrangers = bind_networks(policy.networks, self.names)
        self._picked_cpus: dict[tuple[int, int, Kind, bool], tuple[int, str]] = {}
        self._positions_by_kinds: dict[frozenset[Kind], list[int]] = {}
        self._usable: dict[int, tuple[list[int], list[int]]] = {}
        self._usable_seen = -1
        self._full_rows: dict[Kind, tuple[int, ...]] = {}

    def update(self, snapshot: Snapshot) -> list[int] | None:
        """Bring it to a snapshot with the same nodes; return the positions that changed.

        None: a node became another kind of machine, or is to be seen otherwise; everything has to be made anew.
        """
        if find_exactness(snapshot, self.roll.read(snapshot.pending)) != self.exactness:
            return None
        changed = self._find_changed(snapshot.nodes)
        self.nodes = snapshot.nodes
        self._begin(snapshot)
        for position in changed:
            free = snapshot.nodes[position]
            is_same = free.node.name == self.names[position] and free.node.weight == self._weights[position]
            if not is_same or self.table.kind(free, self._memberships[position]) is not self.kinds[position]:
                return None
            self._update_node(position, free)
        return changed

    def restore(self, snapshot: Snapshot) -> list[int]:
        """Give back what was taken since it was brought to this snapshot; return the positions that changed."""
        changed = sorted(self._touched)
        self._begin(snapshot)
        for position in changed:
            self._update_node(position, self.nodes[position])
        return changed

    def _begin(self, snapshot: Snapshot) -> None:
        self.partition_cpus.count(snapshot.running, self.position_by_name, snapshot.now_at)
        self._touched.clear()
        for arranger in self.arrangers.values():
            arranger.begin()

    def _find_changed(self, nodes: Sequence[NodeFree]) -> list[int]:
        if nodes is self.nodes:
            return sorted(self._touched)
        differ = map(operator.is_not, nodes, self.nodes)
        changed = list(itertools.compress(range(len(nodes)), differ))
        return sorted(self._touched.union(changed)) if self._touched else changed

    def _update_node(self, position: int, free: NodeFree) -> None:
        self.levels[position] = self._read_level(free, self.kinds[position])
        self.cpu_masks[position] = free.free_cpus
        self.gres_masks[position] = tuple([item.free for item in free.gres])
        if free.node.is_usable != self.is_usable[position]:
            self.is_usable[position] = not self.is_usable[position]
            self.usable_version += 1
        _set_or_drop(self.uids_by_position, position, free.uids or None)
        _set_or_drop(self.owner_by_position, position, free.exclusive_uid)

    def positions_of(self, names: Iterable[str]) -> frozenset[int]:
        """Return the positions of the names that are nodes."""
        return frozenset(self.position_by_name[name] for name in names if name in self.position_by_name)

    def positions_of_kinds(self, kinds: frozenset[Kind]) -> list[int]:
        """Return the positions of the nodes of these kinds, in placement order; not to be changed."""
        found = self._positions_by_kinds.get(kinds)
        if found is None:
            all_kinds = self.kinds
            found = [position for position in self.placement_order if all_kinds[position] in kinds]
            self._positions_by_kinds[kinds] = found
        return found

    def full_row(self, position: int) -> tuple[int, ...]:
        """Return what the node has in all, as the tracks keep it."""
        kind = self.kinds[position]
        row = self._full_rows.get(kind)
        if row is None:
            row = self._full_rows[kind] = row_of(self.table.idle(kind), self.table.width)
        return row

    def packed(self, arranger: Arranger) -> list[int]:
        """Return the order in which jobs on one node fill the nodes, where near nodes matter."""
        levels = self.levels
        return arranger.packed(
            self.placement_order, lambda position: levels[position].cpus > 0, self._weights.__getitem__
        )

    def idle_level(self, position: int) -> Level:
        """Return the level of the node if nobody used it."""
        return self.table.idle(self.kinds[position])

    def only_usable(self, positions: list[int]) -> list[int]:
        """Return those that may get work, in their order: the same list when all may; not to be changed."""
        if self._usable_seen != self.usable_version:
            self._usable_seen = self.usable_version
            self._usable.clear()
        known = self._usable.get(id(positions))
        if known is None or known[0] is not positions:
            is_usable = self.is_usable
            found = [position for position in positions if is_usable[position]]
            if len(self._usable) >= _LISTS_MAX:
                self._usable.clear()
            known = self._usable[id(positions)] = (positions, positions if len(found) == len(positions) else found)
        return known[1]

    def is_foreign(self, position: int, uid: int, is_user_exclusive: bool) -> bool:
        """Is the node kept from this user, or used by others when the job wants no others beside it?"""
        owner = self.owner_by_position.get(position)
        if owner is not None and owner != uid:
            return True
        return is_user_exclusive and any(other != uid for other in self.uids_by_position.get(position, ()))

    def count_kinds(self) -> Counter[tuple[Kind, bool]]:
        """Return how many nodes there are of each kind, usable ones and others apart."""
        if self._kinds_seen != self.usable_version:
            self._kinds_seen = self.usable_version
            self._kind_counts = Counter(zip(self.kinds, self.is_usable, strict=True))
        return self._kind_counts

    def count_levels(self) -> Counter[tuple[Level, bool]]:
        """Return how many nodes are at each level, usable ones and others apart; counted anew each time."""
        return Counter(zip(self.levels, self.is_usable, strict=True))

    def grant(self, position: int, take: Take) -> NodeGrant:
        """Take the resources out and return them with their numbers: what the take says, else the lowest."""
        level = self.levels[position]
        self._touched.add(position)
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

    def take_cpus(self, position: int, take: Take) -> None:
        """Take the CPUs out that a job gets back which is on the node already."""
        assert take.masks is not None, "CPUs without numbers"
        self._touched.add(position)
        self.cpu_masks[position] &= ~take.masks.cpus
        level, kind = self.levels[position], self.kinds[position]
        if level.free is None:
            after = self.table.level(kind, level.cpus - take.cpus, level.memory_mib, level.gres, level.job_count)
        else:
            free = masks.take(level.free, take.masks, kind.is_counted)
            after = self.table.exact(kind, level.memory_mib, level.job_count, free)
        self.levels[position] = after

    def note_user(self, position: int, uid: int, is_user_exclusive: bool) -> None:
        """Remember who came to the node."""
        self.uids_by_position[position] = (*self.uids_by_position.get(position, ()), uid)
        if is_user_exclusive:
            self.owner_by_position[position] = uid

    def save_node(self, position: int) -> Saved:
        """Return how a node stands, for restore_node()."""
        counts = (self.levels[position], self.cpu_masks[position], self.gres_masks[position])
        return position, counts, self.uids_by_position.get(position), self.owner_by_position.get(position)

    def restore_node(self, saved: Saved) -> None:
        """Undo everything that was done to a node since save_node()."""
        position, counts, uids, owner = saved
        self.levels[position], self.cpu_masks[position], self.gres_masks[position] = counts
        _set_or_drop(self.uids_by_position, position, uids)
        _set_or_drop(self.owner_by_position, position, owner)

    def _read_level(self, free: NodeFree, kind: Kind) -> Level:
        if kind.is_exact:
            nothing = FreeMasks(0, (0,) * len(free.gres))
            whole = FreeMasks(free.free_cpus, tuple([item.free for item in free.gres]), free.shared)
            memory_mib = 0 if free.exclusive_job else free.free_memory_mib
            return self.table.exact(kind, memory_mib, free.job_count, nothing if free.exclusive_job else whole)
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
            if len(self._picked_cpus) >= _PICKS_MAX:
                self._picked_cpus.clear()
            picked = self._picked_cpus[key] = (taken, cpuset.format(taken))
        return picked

    def _take_units(self, position: int, take: Take) -> tuple[GresGrant, ...]:
        kind = self.levels[position].kind
        free = list(self.gres_masks[position])
        grants = []
        for place, count in enumerate(take.gres):
            if not count:
                continue
            name, unit_type, _ = kind.gres[place]
            if kind.is_counted[place]:
                free[place] -= count
                grants.append(GresGrant(name=name, type=unit_type, count=count))
                continue
            units = take.masks.units[place] if take.masks else cpuset.lowest(free[place], count)
            free[place] &= ~units
            grants.append(GresGrant(name=name, type=unit_type, units=cpuset.format(units), count=count))
        self.gres_masks[position] = tuple(free)
        return tuple(grants)


def _read_memberships(snapshot: Snapshot) -> list[frozenset[str]]:
    """Return the partitions of each node; equal sets are one object."""
    partitions_by_node: dict[str, list[str]] = {}
    for partition in snapshot.partitions.values():
        for name in partition.nodes:
            partitions_by_node.setdefault(name, []).append(partition.name)
    memberships: dict[tuple[str, ...], frozenset[str]] = {}
    found = []
    for free in snapshot.nodes:
        names = tuple(partitions_by_node.get(free.node.name, ()))
        found.append(memberships.setdefault(names, frozenset(names)))
    return found


def _set_or_drop(mapping: dict[int, _Value], position: int, value: _Value | None) -> None:
    if value is None:
        mapping.pop(position, None)
    else:
        mapping[position] = value


def find_exactness(snapshot: Snapshot, traits: Traits) -> Exactness:
    """Return what in the snapshot asks for levels with numbers.  traits: of its pending jobs."""
    # CPUs that are shared now stay so whatever the configuration says by now.
    sharing = {name for shared in filter(None, map(_shared, snapshot.nodes)) for name, _ in shared}
    for partition in snapshot.partitions.values():
        word = partition.oversubscribe.partition(":")[0]
        # YES shares nothing until a job asks for it.
        if word == "FORCE" or (word == "YES" and traits.can_oversubscribe):
            sharing.add(partition.name)
    return Exactness(frozenset(sharing), traits.is_by_socket)
