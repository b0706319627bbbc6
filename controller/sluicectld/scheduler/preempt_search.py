"""Where a job would start if others were gone: the same search over what would be free then.

A victim that is ended gives back all it has, one that is suspended its CPUs.  What counts of a node is the least of
what would be free in fact and of what the timeline leaves, so that the job really starts when they are gone: neither an
overdue job nor a planned start is overlooked.  A component of a heterogeneous job finds what those before it leave, and
of jobs that only they may preempt it gets nothing.

Invariant: nothing is changed here; every question is answered from the snapshot as the pass has it by now.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from sluice.model.preemption import PreemptMode

from .levels import Level, LevelTable, Take
from .search import Part, find_with
from .shapes import Shape
from .snapshot import RunningJob
from .timeline import Timeline, read_take
from .working import WorkingCopy


class Leaver(msgspec.Struct, frozen=True, eq=False):
    """A job that may be gone.  end_at: when the timeline expects it to end."""

    job_id: int
    takes: dict[int, Take]
    keeps_memory: bool
    end_at: float


#: What others that would start beside it take, by position.
Beside = Mapping[int, Sequence[Take]]
_NOBODY: Beside = {}


def make_leaver(running: RunningJob, mode: PreemptMode, end_at: float, working: WorkingCopy) -> Leaver:
    """Return the job as one that may be gone."""
    takes = {
        position: read_take(working.kinds[position], grant)
        for grant in running.allocation.grants
        if (position := working.position_by_name.get(grant.node)) is not None
    }
    return Leaver(running.job_id, takes, mode is PreemptMode.SUSPEND, end_at)


class Situation:
    """What one shape finds, as far as it depends on who is gone.  always: those who are leaving for it already.

    Questions that differ in few jobs cost little: only their nodes are looked at again.
    """

    def __init__(
        self,
        shape: Shape,
        working: WorkingCopy,
        timeline: Timeline,
        leavers: Iterable[Leaver],
        always: Sequence[Leaver] = (),
    ) -> None:
        self._shape = shape
        self._working = working
        self._timeline = timeline
        self._from_at = timeline.now_at
        self._until_at = timeline.now_at + shape.duration_s
        self._at: dict[int, list[Leaver]] = {}
        for leaver in (*always, *leavers):
            for position in leaver.takes:
                self._at.setdefault(position, []).append(leaver)
        self._levels: dict[tuple[int, frozenset[int]], Level] = {}
        #: Who is gone, and what the nodes then offer.
        self._gone: frozenset[Leaver] = frozenset()
        self._gone_ids: set[int] = set()
        self._offers = self._offers_as_it_is()
        self._tasks, self._nodes = sum(self._offers.values()), len(self._offers)
        candidates, _ = shape.candidates_during(self._from_at, self._until_at)
        self._useful = [each for each in candidates if each in self._offers or each in self._at]
        self.positions = frozenset(self._useful)
        self._always = frozenset(always)
        self._let_go(self._always)

    def find(
        self, gone: Iterable[Leaver], beside: Beside = _NOBODY, all_gone: Iterable[Leaver] = ()
    ) -> list[Part] | None:
        """Return where a job of the shape would start, None if it would not even then.

        beside: of those that are placed already, on what all that are gone leave (all_gone).
        """
        self._let_go(self._always.union(gone))
        shape, offers = self._shape, self._offers
        if not shape.is_level_dependent and (self._tasks < shape.needs.tasks or self._nodes < shape.needs.nodes_min):
            return None
        levels: dict[int, Level] = {}
        if beside:
            ids = self._gone_ids.union(leaver.job_id for leaver in all_gone)
            levels = {each: self._level_beside(each, beside[each], ids) for each in self._useful if each in beside}
            offers = offers | {each: shape.offer(level) for each, level in levels.items()}
        positions = [each for each in self._useful if offers.get(each)]
        positions = shape.only_own_without(positions, self._until_at, self._gone_fully())
        return find_with(shape, positions, lambda each: levels.get(each) or self._level(each), offers.__getitem__)

    def _gone_fully(self) -> set[int]:
        """Return those that are gone from their nodes: a suspended job stays."""
        return {leaver.job_id for leaver in self._gone if not leaver.keeps_memory}

    def _let_go(self, gone: frozenset[Leaver]) -> None:
        """Bring the offers to the state that just these are gone."""
        changed = gone ^ self._gone
        self._gone = gone
        self._gone_ids.symmetric_difference_update(leaver.job_id for leaver in changed)
        for position in {each for leaver in changed for each in leaver.takes if each in self.positions}:
            before, after = self._offers.get(position, 0), self._shape.offer(self._level(position))
            self._offers[position] = after
            self._tasks += after - before
            self._nodes += bool(after) - bool(before)

    def _offers_as_it_is(self) -> dict[int, int]:
        shape, tracks = self._shape, self._timeline.tracks
        candidates, positions = shape.candidates_during(self._from_at, self._until_at)
        if shape.is_level_dependent:
            return {each: offer for each in candidates if (offer := shape.offer(self._level(each)))}
        found, counts = tracks.collect_now(shape.task_rows, positions, self._until_at, 0, 0)
        return dict(zip(found, counts, strict=True))

    def _level(self, position: int) -> Level:
        """Return what is free for the job's whole time on a node."""
        here = self._leavers_on(position, self._gone_ids)
        key = position, frozenset([leaver.job_id for leaver in here])
        level = self._levels.get(key)
        if level is None:
            floor = self._compute_floor(position, here)
            level = self._levels[key] = self._shape.cut(floor, position, self._from_at, self._until_at)
        return level

    def _level_beside(self, position: int, takes: Sequence[Take], all_ids: Set[int]) -> Level:
        """Return the same beside others, which take theirs of what all that are gone leave."""
        table = self._working.table
        floor = self._compute_floor(position, self._leavers_on(position, all_ids))
        for take in takes:
            floor = table.take(floor, take)
        floor = table.lower(floor, self._compute_floor(position, self._leavers_on(position, self._gone_ids)))
        return self._shape.cut(floor, position, self._from_at, self._until_at)

    def _leavers_on(self, position: int, ids: Set[int]) -> list[Leaver]:
        return [leaver for leaver in self._at.get(position, ()) if leaver.job_id in ids]

    def _compute_floor(self, position: int, here: Sequence[Leaver]) -> Level:
        table = self._working.table
        floor = self._working.levels[position]
        for leaver in here:
            floor = _without(table, floor, leaver, position)
        for at, level in zip(*self._timeline.steps(position), strict=True):
            if at >= self._until_at:
                break
            for leaver in here:
                if leaver.end_at > at:
                    level = _without(table, level, leaver, position)
            floor = table.lower(floor, level)
        return floor


def _without(table: LevelTable, level: Level, leaver: Leaver, position: int) -> Level:
    take = leaver.takes[position]
    return table.give_cpus_back(level, take) if leaver.keeps_memory else table.give_back(level, take)
