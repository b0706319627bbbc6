"""Free resources as a function of time: what each node will have when its running and planned jobs end.

Each node has steps: from this time on, this level.  Running jobs end at their expected end, planned jobs take their
part from their planned start to their limit.  Steps are made when a node is first looked at.

Invariant: no level is ever below zero: a planned job takes only what is free at every moment of its time.
Source: Mu'alem & Feitelson 2001, section 2.
"""

import bisect
from collections.abc import Iterable

from sluice import cpuset
from sluice.model.allocation import Allocation, NodeGrant

from .levels import Kind, Level, Take
from .masks import TakenMasks
from .working import WorkingCopy

#: A job that outlives its limit is expected to be gone this much later.
OVERDUE_S = 1.0
_NEVER = float("inf")


class Timeline:
    """Levels over [now, forever) for each node position."""

    def __init__(self, working: WorkingCopy, now_at: float) -> None:
        self.now_at = now_at
        self._working = working
        self._returns: dict[int, list[tuple[float, NodeGrant]]] = {}
        self._times: dict[int, list[float]] = {}
        self._levels: dict[int, list[Level]] = {}
        #: Positions where a planned job takes something away later on.
        self.planned_positions: set[int] = set()
        #: How often a node was looked at over time.
        self.looks = 0
        #: Counts the changes of each position's steps.
        self.changes: dict[int, int] = {}

    def add_running(self, allocation: Allocation, end_at: float | None) -> None:
        """Add a job that holds its resources now and returns them at its expected end."""
        if end_at is None:
            return
        end_at = max(end_at, self.now_at + OVERDUE_S)
        for grant in allocation.grants:
            position = self._working.position_by_name.get(grant.node)
            if position is not None:
                self._returns.setdefault(position, []).append((end_at, grant))

    def add_start(self, allocation: Allocation, takes: Iterable[tuple[int, Take]], end_at: float) -> None:
        """Add a job that was started in this pass; its resources are out of the working copy already."""
        for (position, take), grant in zip(takes, allocation.grants, strict=True):
            if position in self._times:
                self.reserve(position, take, self.now_at, end_at)
            elif end_at < _NEVER:
                self._returns.setdefault(position, []).append((end_at, grant))

    def steps(self, position: int) -> tuple[list[float], list[Level]]:
        """Return the times, ascending from now, and the level from each of them on."""
        times = self._times.get(position)
        if times is None:
            times, levels = self._compute_steps(position)
            self._times[position], self._levels[position] = times, levels
        return times, self._levels[position]

    def floor(self, position: int, from_at: float, until_at: float) -> Level:
        """Return the level that is free during all of [from_at, until_at): the least of each resource."""
        times, levels = self.steps(position)
        first = bisect.bisect_right(times, from_at) - 1
        level = levels[first]
        if position in self.planned_positions:
            for place_number in range(first + 1, len(times)):
                if times[place_number] >= until_at:
                    break
                level = self._working.table.lower(level, levels[place_number])
        return level

    def reserve(self, position: int, take: Take, from_at: float, until_at: float) -> None:
        """Take resources out during [from_at, until_at)."""
        self._change(position, from_at, until_at, take, is_taking=True)
        if from_at > self.now_at:
            self.planned_positions.add(position)

    def release(self, position: int, take: Take, from_at: float, until_at: float) -> None:
        """Undo reserve()."""
        self._change(position, from_at, until_at, take, is_taking=False)

    def next_end(self, position: int) -> float | None:
        """Return when the first running job of the node is expected to end."""
        ends = [end_at for end_at, _ in self._returns.get(position, ())]
        return min(ends, default=None)

    def _change(self, position: int, from_at: float, until_at: float, take: Take, is_taking: bool) -> None:
        times, levels = self.steps(position)
        first = self._cut(times, levels, from_at)
        last = self._cut(times, levels, until_at) if until_at < _NEVER else len(times)
        table = self._working.table
        for place_number in range(first, last):
            level = levels[place_number]
            levels[place_number] = table.take(level, take) if is_taking else table.put_back(level, take)
        self.changes[position] = self.changes.get(position, 0) + 1

    @staticmethod
    def _cut(times: list[float], levels: list[Level], at: float) -> int:
        """Return the index of the step that begins at *at*, made if there is none."""
        place_number = bisect.bisect_left(times, at)
        if place_number == len(times) or times[place_number] != at:
            times.insert(place_number, at)
            levels.insert(place_number, levels[place_number - 1])
        return place_number

    def _compute_steps(self, position: int) -> tuple[list[float], list[Level]]:
        level = self._working.levels[position]
        times, levels = [self.now_at], [level]
        for end_at, grant in sorted(self._returns.get(position, ()), key=lambda pair: pair[0]):
            level = self._working.table.give_back(level, read_take(level.kind, grant))
            if times[-1] == end_at:
                levels[-1] = level
            else:
                times.append(end_at)
                levels.append(level)
        return times, levels


def read_take(kind: Kind, grant: NodeGrant) -> Take:
    """Return the counts of a grant, in whole units; its numbers on exact kinds."""
    cpus = grant.cpu_count
    if kind.charge_unit != kind.unit:
        # Fewer are charged than it keeps.
        cpus = cpuset.parse(grant.cpus).bit_count()
    cpus = -(-cpus // kind.unit) * kind.unit
    counts = [0] * len(kind.gres)
    units = [0] * len(kind.gres)
    for granted in grant.gres:
        for place_number, (name, kind_of_unit, _) in enumerate(kind.gres):
            if (name, kind_of_unit) == (granted.name, granted.type):
                counts[place_number] += granted.count
                units[place_number] |= granted.count if kind.is_counted[place_number] else cpuset.parse(granted.units)
    masks = None
    if kind.is_exact:
        masks = TakenMasks(cpuset.parse(grant.cpus) & kind.layout.cpus, tuple(units))
    return Take(cpus, grant.memory_mib, tuple(counts), masks)
