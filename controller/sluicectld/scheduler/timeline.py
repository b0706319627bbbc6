"""Free resources as a function of time: what each node will have when its running and planned jobs end.

Running jobs end at their expected end, planned jobs take their part from their planned start to their limit.  The
arithmetic on times is tracks.py's; here levels have contents and jobs have names.  A timeline outlives its pass:
update() brings it to the next snapshot, and what a pass adds is taken out again at its end.

Invariant: no level is ever below zero: a planned job takes only what is free at every moment of its time.
Source: Mu'alem & Feitelson 2001, section 2.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sluice.model.allocation import NodeGrant

from .levels import Kind, Level, Take
from .native.library import lib
from .native.tracks import NativeTracks
from .snapshot import RunningJob
from .tracks import NEVER, AnyTracks, LevelMap, Tracks
from .working import WorkingCopy

Move = Callable[[Level, Take], Level]
#: What a job takes from the node at a position.
Takes = Sequence[tuple[int, Take]]

#: Lists of candidates that are kept in the tracks' form.
_LISTS_MAX = 1000


def make_tracks(nodes: int) -> AnyTracks:
    """Return the compiled tracks where there are some."""
    return Tracks(nodes) if lib is None else NativeTracks(nodes)


class Timeline:
    """Levels over [now, forever) for each node position."""

    def __init__(self, working: WorkingCopy, tracks: AnyTracks | None = None) -> None:
        self.now_at = 0.0
        self.tracks = tracks or make_tracks(len(working.nodes))
        self._working = working
        self._table = working.table
        self._running: dict[int, tuple[RunningJob, Takes]] = {}
        self._job_ids_at: list[set[int]] = [set() for _ in working.nodes]
        self._takes: dict[Take, LevelMap] = {}
        self._releases: dict[Take, LevelMap] = {}
        self._returns: dict[Take, LevelMap] = {}
        #: What planned jobs take later on: (take, from, until) by job id, for each position where there are some.
        self.plans: dict[int, dict[int, tuple[Take, float, float]]] = {}
        self._positions: dict[int, tuple[list[int], Any]] = {}
        self._is_new = True

    def update(self, running: Sequence[RunningJob], now_at: float, changed: Sequence[int]) -> None:
        """Bring it to a snapshot; changed: the positions whose working copy is another than before."""
        self.tracks.begin(now_at)
        self.now_at = now_at
        stale = set(range(len(self._working.nodes))) if self._is_new else set()
        self._is_new = False
        self._update_jobs(running, stale)
        levels, actual = self._working.levels, self.tracks.actual
        stale.update(position for position in changed if actual(position) != levels[position].number)
        for position in stale:
            self._make_track(position)

    def _update_jobs(self, running: Sequence[RunningJob], stale: set[int]) -> None:
        known = self._running
        began = [job for job in running if (entry := known.get(job.job_id)) is None or entry[0] is not job]
        gone = [job for job in began if job.job_id in known]
        if len(known) + len(began) - len(gone) > len(running):
            ids = {job.job_id for job in running}
            gone += [entry[0] for job_id, entry in known.items() if job_id not in ids]
        for job in gone:
            self._end(job, stale)
        for job in began:
            self._begin(job, stale)

    def _begin(self, job: RunningJob, stale: set[int]) -> None:
        takes = self._read_takes(job)
        self._running[job.job_id] = (job, takes)
        end_at = NEVER if job.expected_end_at is None else job.expected_end_at
        for position, take in takes:
            self._job_ids_at[position].add(job.job_id)
            if end_at <= self.now_at:
                stale.add(position)
            if position not in stale:
                self.tracks.hold(position, end_at, self._takes_of(take))

    def _end(self, job: RunningJob, stale: set[int]) -> None:
        _, takes = self._running.pop(job.job_id)
        end_at = NEVER if job.expected_end_at is None else job.expected_end_at
        for position, take in takes:
            self._job_ids_at[position].discard(job.job_id)
            if position not in stale:
                self.tracks.hold(position, end_at, self._returns_of(take))

    def _read_takes(self, job: RunningJob) -> Takes:
        position_by_name, levels = self._working.position_by_name, self._working.levels
        return [
            (position, read_take(levels[position].kind, grant))
            for grant in job.allocation.grants
            if (position := position_by_name.get(grant.node)) is not None
        ]

    def _make_track(self, position: int) -> None:
        level = self._working.levels[position]
        returns = []
        for job_id in self._job_ids_at[position]:
            job, takes = self._running[job_id]
            if job.expected_end_at is not None:
                end_at = max(job.expected_end_at, self.now_at)
                returns += [(end_at, job_id, take) for each, take in takes if each == position]
        times, levels = [self.now_at], [level.number]
        for end_at, _, take in sorted(returns, key=lambda item: item[:2]):
            level = self._table.give_back(level, take)
            if end_at > times[-1]:
                times.append(end_at)
                levels.append(level.number)
            else:
                levels[-1] = level.number
        self.tracks.set(position, self._working.levels[position].number, times, levels)
        for take, from_at, until_at in self.plans.get(position, {}).values():
            self.tracks.plan(position, max(from_at, self.now_at), until_at, self._takes_of(take))

    # --- what a pass adds and takes out again

    def start(self, takes: Takes, end_at: float) -> None:
        """Add a job that starts now."""
        for position, take in takes:
            self.tracks.hold(position, end_at, self._takes_of(take))

    def undo_start(self, takes: Takes, end_at: float) -> None:
        for position, take in takes:
            self.tracks.hold(position, end_at, self._releases_of(take))

    def reserve(self, job_id: int, takes: Takes, from_at: float, until_at: float) -> None:
        """Take resources out for a planned job during [from_at, until_at)."""
        for position, take in takes:
            self.tracks.plan(position, from_at, until_at, self._takes_of(take))
            self.plans.setdefault(position, {})[job_id] = (take, from_at, until_at)

    def release(self, job_id: int, positions: Iterable[int]) -> None:
        """Undo reserve()."""
        for position in positions:
            plans = self.plans[position]
            take, from_at, until_at = plans.pop(job_id)
            if not plans:
                del self.plans[position]
            self.tracks.plan(position, max(from_at, self.now_at), until_at, self._releases_of(take))

    # --- questions

    def make_positions(self, positions: list[int]) -> Any:
        """Return them in the form that the tracks take, the same for the same list."""
        known = self._positions.get(id(positions))
        if known is None or known[0] is not positions:
            if len(self._positions) >= _LISTS_MAX:
                self._positions.clear()
            known = self._positions[id(positions)] = (positions, self.tracks.make_positions(positions))
        return known[1]

    def steps(self, position: int) -> tuple[list[float], list[Level]]:
        """Return the times, ascending from now, and the level that is expected from each of them on."""
        times, numbers = self.tracks.steps(position)
        return times, [self._table.by_number[number] for number in numbers]

    def floor(self, position: int, from_at: float, until_at: float) -> Level:
        """Return the level that is free during all of [from_at, until_at): the least of each resource."""
        times, levels = self.steps(position)
        begun = [level for at, level in zip(times, levels, strict=True) if at <= from_at]
        level = begun[-1]
        for at, other in zip(times, levels, strict=True):
            if from_at < at < until_at:
                level = self._table.lower(level, other)
        return level

    def floor_now(self, position: int, until_at: float) -> Level:
        """Return the same from now on, of what is free in fact."""
        level = self._working.levels[position]
        if position not in self.plans:
            return level
        return self._table.lower(level, self.floor(position, self.now_at, until_at))

    # --- tables

    def _takes_of(self, take: Take) -> LevelMap:
        return self._table_of(self._takes, take, self._table.take)

    def _releases_of(self, take: Take) -> LevelMap:
        return self._table_of(self._releases, take, self._table.put_back)

    def _returns_of(self, take: Take) -> LevelMap:
        return self._table_of(self._returns, take, self._table.give_back)

    def _table_of(self, tables: dict[Take, LevelMap], take: Take, move: Move) -> LevelMap:
        found = tables.get(take)
        if found is None:
            by_number = self._table.by_number
            found = tables[take] = LevelMap(self.tracks.make_table, lambda number: move(by_number[number], take).number)
        return found


def read_take(kind: Kind, grant: NodeGrant) -> Take:
    """Return the counts of a grant, in whole units."""
    cpus = -(-grant.cpu_count // kind.unit) * kind.unit
    counts = [0] * len(kind.gres)
    for granted in grant.gres:
        for place_number, (name, kind_of_unit, _) in enumerate(kind.gres):
            if (name, kind_of_unit) == (granted.name, granted.type):
                counts[place_number] += granted.count
    return Take(cpus, grant.memory_mib, tuple(counts))
