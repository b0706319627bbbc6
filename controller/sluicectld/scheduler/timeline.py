"""Free resources as a function of time: what each node will have when its running and planned jobs end.

Running jobs end at their expected end, planned jobs take their part from their planned start to their limit.  The
arithmetic on times is tracks.py's; here levels have contents and jobs have names.  A timeline outlives its pass:
update() brings it to the next snapshot, and what a pass adds is taken out again at its end.

Invariant: no level is ever below zero: a planned job takes only what is free at every moment of its time.
Source: Mu'alem & Feitelson 2001, section 2.
"""

import bisect
import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from sluice import cpuset
from sluice.model.allocation import NodeGrant

from .levels import Kind, Level, Take, row_of, take_row
from .masks import TakenMasks
from .native.library import lib
from .native.tracks import NativeTracks
from .snapshot import RunningJob
from .tracks import NEVER, AnyTracks, Move, Tracks
from .working import WorkingCopy

#: What a planned job takes, from when until when.
Plan = tuple[Take, float, float]
#: What a job takes from the node at a position.
Takes = Sequence[tuple[int, Take]]

#: Lists of candidates that are kept in the tracks' form.
_LISTS_MAX = 1000


def make_tracks(nodes: int, width: int) -> AnyTracks:
    """Return the compiled tracks where there are some."""
    return Tracks(nodes, width) if lib is None else NativeTracks(nodes, width)


class Timeline:
    """What is free over [now, forever) for each node position."""

    def __init__(self, working: WorkingCopy, tracks: AnyTracks | None = None) -> None:
        self.now_at = 0.0
        self._working = working
        self._table = working.table
        self._width = working.table.width
        self.tracks = tracks or make_tracks(len(working.nodes), self._width)
        self._running: dict[int, tuple[RunningJob, Takes]] = {}
        self._job_ids_at: defaultdict[int, list[int]] = defaultdict(list)
        #: Of grants that are counts of CPUs and memory, and nothing else.
        self._plain_takes: dict[tuple[Kind, int, int], Take] = {}
        self._rows: dict[tuple[int, int, tuple[int, ...]], Any] = {}
        #: What planned jobs take later on: (take, from, until) by job id, for each position where there are some.
        self.plans: dict[int, dict[int, Plan]] = {}
        #: What jobs started in this pass take, and until when, for exact positions.
        self._started: dict[int, list[tuple[Take, float]]] = {}
        #: Steps of exact positions that were asked for since something changed there.
        self._exact: dict[int, tuple[list[float], list[Level]]] = {}
        self._positions: dict[int, tuple[list[int], Any]] = {}
        #: Something happened under planned starts that they could not know of.
        self.is_disturbed = False
        #: Ends and positions of what the last pass started: its promises know of these.
        self._expected: set[tuple[float, tuple[int, ...]]] = set()
        self._is_surprised = False
        self._usable_version = 0
        self._is_new = True
        #: The running jobs of the last update.
        self._seen: Sequence[RunningJob] | None = None
        #: Positions whose tracks hold for the present pass only.
        self._passing: set[int] = set()
        #: What jobs that are to be suspended have on exact positions.
        self._frozen: dict[int, list[Take]] = {}

    def update(self, running: Sequence[RunningJob], now_at: float, changed: Sequence[int]) -> None:
        """Bring it to a snapshot; changed: the positions whose working copy is another than before."""
        self.tracks.begin(now_at)
        self.now_at = now_at
        self._exact.clear()
        stale, self._passing = self._passing, set()
        self._frozen.clear()
        touched = set(changed)
        if self._is_new:
            self._is_new = False
            self._make_all(running)
        else:
            # A job that is over may have its nodes still, until they are clean.
            touched |= self._update_jobs(running, stale)
        levels, width = self._working.levels, self._width
        stale.update(each for each in touched if self.tracks.actual(each) != row_of(levels[each], width))
        is_other = self._is_surprised or self._usable_version != self._working.usable_version
        self.is_disturbed = is_other or not stale.isdisjoint(self.plans)
        self._is_surprised = False
        self._expected.clear()
        self._usable_version = self._working.usable_version
        self._make_tracks(sorted(stale))

    def _update_jobs(self, running: Sequence[RunningJob], stale: set[int]) -> set[int]:
        """Take jobs out that are not there any more and new ones in; return their positions."""
        if running is self._seen:
            return set()
        self._seen = running
        known = self._running
        began = [job for job in running if (entry := known.get(job.job_id)) is None or entry[0] is not job]
        gone = [known[job.job_id][0] for job in began if job.job_id in known]
        if len(known) + len(began) - len(gone) > len(running):
            ids = {job.job_id for job in running}
            gone += [entry[0] for job_id, entry in known.items() if job_id not in ids]
        touched = {position for job in gone for position, _ in self.takes_of(job.job_id)}
        for job in gone:
            self._end(job, stale)
        for job in began:
            self._begin(job, stale)
        return touched.union(position for job in began for position, _ in self.takes_of(job.job_id))

    def _begin(self, job: RunningJob, stale: set[int]) -> None:
        takes = self._read_takes(job)
        self._running[job.job_id] = (job, takes)
        end_at = _end_of(job)
        if self.plans and (end_at, _positions_of(takes)) not in self._expected:
            self._is_surprised = self._is_surprised or any(position in self.plans for position, _ in takes)
        for position, _ in takes:
            self._job_ids_at[position].append(job.job_id)
            if end_at <= self.now_at:
                stale.add(position)
        self._change([each for each in takes if each[0] not in stale], self.now_at, end_at, Move.TAKE, True)

    def _end(self, job: RunningJob, stale: set[int]) -> None:
        _, takes = self._running.pop(job.job_id)
        for position, _ in takes:
            self._job_ids_at[position].remove(job.job_id)
        fresh = [each for each in takes if each[0] not in stale]
        self._change(fresh, self.now_at, _end_of(job), Move.RETURN, True)

    def _change(self, takes: Takes, from_at: float, until_at: float, move: Move, is_held: bool) -> None:
        """Change the tracks; nodes that give the same are one call."""
        if len(takes) == 1:
            position, take = takes[0]
            self.tracks.change((position,), from_at, until_at, self._row_of(take), move, is_held)
            return
        # A row is known by its identity: there is one for all takes of the same counts.
        alike: dict[int, tuple[Any, list[int]]] = {}
        last: Take | None = None
        for position, take in takes:
            if take is not last:
                last, row = take, self._row_of(take)
                positions = alike.setdefault(id(row), (row, []))[1]
            positions.append(position)
        for row, positions in alike.values():
            self.tracks.change(positions, from_at, until_at, row, move, is_held)

    def _read_takes(self, job: RunningJob) -> Takes:
        """Return what the job takes; nodes of one kind that give the same share one record."""
        position_by_name, kinds, known = self._working.position_by_name, self._working.kinds, self._plain_takes
        takes: list[tuple[int, Take]] = []
        for grant in job.allocation.grants:
            position = position_by_name.get(grant.node)
            if position is None:
                continue
            kind = kinds[position]
            if grant.gres or kind.is_exact or kind.is_charged_by_cpu:
                takes.append((position, read_take(kind, grant)))
                continue
            key = kind, grant.cpu_count, grant.memory_mib
            take = known.get(key)
            if take is None:
                take = known[key] = read_take(kind, grant)
            takes.append((position, take))
        return takes

    def _make_all(self, running: Sequence[RunningJob]) -> None:
        """Make every track, with every running job."""
        for position in range(len(self._working.nodes)):
            self._set_track(position)
        for job in running:
            takes = self._read_takes(job)
            self._running[job.job_id] = (job, takes)
            for position, _ in takes:
                self._job_ids_at[position].append(job.job_id)
            if job.expected_end_at is not None:
                self._change(takes, max(job.expected_end_at, self.now_at), NEVER, Move.RETURN, False)

    def _set_track(self, position: int) -> None:
        working = self._working
        actual = row_of(working.levels[position], self._width)
        self.tracks.set(position, working.kinds[position].number, working.full_row(position), actual)

    def _make_tracks(self, positions: Sequence[int]) -> None:
        """Make the tracks of these nodes anew."""
        for position in positions:
            self._set_track(position)
        made = set(positions)
        for job_id in sorted(set[int]().union(*(self._job_ids_at.get(position, ()) for position in positions))):
            job, takes = self._running[job_id]
            if job.expected_end_at is not None:
                takes = [each for each in takes if each[0] in made]
                self._change(takes, max(job.expected_end_at, self.now_at), NEVER, Move.RETURN, False)
        for position in made.intersection(self.plans):
            for take, from_at, until_at in self.plans[position].values():
                self._change([(position, take)], max(from_at, self.now_at), until_at, Move.TAKE, False)

    # --- what a pass adds and takes out again

    def start(self, takes: Takes, end_at: float) -> None:
        """Add a job that starts now."""
        self._change(takes, self.now_at, end_at, Move.TAKE, True)
        for position, take in takes:
            if take.masks is not None:
                self._started.setdefault(position, []).append((take, end_at))
                self._exact.pop(position, None)

    def undo_start(self, takes: Takes, end_at: float) -> None:
        self._change(takes, self.now_at, end_at, Move.UNDO, True)
        for position, take in takes:
            if take.masks is not None:
                self._started[position].remove((take, end_at))

    def expect(self, takes: Takes, end_at: float) -> None:
        """Know that a job will be there for so long, of which the plans know: the next snapshot may have it."""
        self._expected.add((end_at, _positions_of(takes)))

    def reserve(self, job_id: int, takes: Takes, from_at: float, until_at: float) -> None:
        """Take resources out for a planned job during [from_at, until_at)."""
        self._change(takes, from_at, until_at, Move.TAKE, False)
        for position, take in takes:
            self.plans.setdefault(position, {})[job_id] = (take, from_at, until_at)
            self._exact.pop(position, None)

    def release(self, job_id: int, takes: Takes, from_at: float, until_at: float) -> None:
        """Undo reserve()."""
        self._change(takes, max(from_at, self.now_at), until_at, Move.UNDO, False)
        for position, _ in takes:
            self._forget_plan(job_id, position)

    def take_out_if_earlier(self, job_id: int, ask: Any, position: int, at: float) -> bool:
        """Undo reserve() of a job on one node if it fits earlier than it is planned; return whether it does."""
        take = self.plans[position][job_id][0]
        if not self.tracks.moves_earlier(ask, position, at, self._row_of(take)):
            return False
        self._forget_plan(job_id, position)
        return True

    def _forget_plan(self, job_id: int, position: int) -> None:
        plans = self.plans[position]
        del plans[job_id]
        if not plans:
            del self.plans[position]
        self._exact.pop(position, None)

    def let_go(self, job: RunningJob, keeps_memory: bool) -> None:
        """Expect for the rest of the pass that the job is gone now, or (keeps_memory) its CPUs; in fact it is not yet.

        The tracks of its nodes are made anew at the next update: a job's end can't be undone.
        """
        _, takes = self._running[job.job_id]
        end_at = _end_of(job)
        for position, take in takes:
            self._passing.add(position)
            self._exact.pop(position, None)
            if keeps_memory:
                self._frozen.setdefault(position, []).append(take)
                self._let_cpus_go(position, take, end_at)
        if not keeps_memory:
            self._change(takes, self.now_at, end_at, Move.RETURN, False)
            self._running[job.job_id] = (replace(job, expected_end_at=self.now_at), takes)
            self._seen = None

    def _let_cpus_go(self, position: int, take: Take, end_at: float) -> None:
        before, width = self._working.levels[position], self._width
        after = self._table.give_cpus_back(before, take)
        more = tuple(map(operator.sub, row_of(after, width), row_of(before, width)))
        nothing = (0,) * width
        # It stays on the node: the number of jobs there is the same afterwards.
        self.tracks.change([position], self.now_at, end_at, self.tracks.make_row(more), Move.UNDO, False)
        self.tracks.change([position], self.now_at, end_at, self.tracks.make_row(nothing), Move.TAKE, False)

    # --- questions

    def make_positions(self, positions: list[int]) -> Any:
        """Return them in the form that the tracks take, the same for the same list."""
        known = self._positions.get(id(positions))
        if known is None or known[0] is not positions:
            if len(self._positions) >= _LISTS_MAX:
                self._positions.clear()
            known = self._positions[id(positions)] = (positions, self.tracks.make_positions(positions))
        return known[1]

    def takes_of(self, job_id: int) -> Takes:
        """Return what a running job has of each position."""
        return self._running[job_id][1]

    def jobs_at(self, position: int) -> list[RunningJob]:
        """Return the jobs of the snapshot that hold something of the position, as they are expected to end."""
        return [self._running[job_id][0] for job_id in self._job_ids_at.get(position, ())]

    def steps(self, position: int) -> tuple[list[float], list[Level]]:
        """Return the times, ascending from now, and the level that is expected from each of them on."""
        if self._working.kinds[position].is_exact:
            return self._exact_steps(position)
        times, rows = self.tracks.steps(position)
        kind = self._working.kinds[position]
        return times, [self._table.level_of_row(kind, row) for row in rows]

    def _exact_steps(self, position: int) -> tuple[list[float], list[Level]]:
        """Return the same with the numbers of CPUs and units, which the tracks do not have."""
        known = self._exact.get(position)
        if known is not None:
            return known
        ends = [(end_at, take) for take, end_at in self._started.get(position, ())]
        for job_id in self._job_ids_at.get(position, ()):
            job, takes = self._running[job_id]
            ends += [(max(_end_of(job), self.now_at), take) for each, take in takes if each == position]
        plans = self.plans.get(position, {}).values()
        bounds = {at for _, from_at, until_at in plans for at in (max(from_at, self.now_at), until_at)}
        times = sorted({self.now_at, *bounds, *(at for at, _ in ends)} - {NEVER})
        levels = [self._exact_level(position, at, ends, plans) for at in times]
        self._exact[position] = times, levels
        return times, levels

    def _exact_level(
        self, position: int, at: float, ends: Iterable[tuple[float, Take]], plans: Iterable[Plan]
    ) -> Level:
        level = self._working.levels[position]
        for take in self._frozen.get(position, ()):
            level = self._table.give_cpus_back(level, take)
        for _, take in sorted((end for end in ends if end[0] <= at), key=_first):
            level = self._table.give_back(level, take)
        for take, from_at, until_at in plans:
            if from_at <= at < until_at:
                level = self._table.take(level, take)
        return level

    def floor(self, position: int, from_at: float, until_at: float) -> Level:
        """Return the level that is free during all of [from_at, until_at): the least of each resource."""
        times, levels = self.steps(position)
        first = bisect.bisect_right(times, from_at) - 1
        level = levels[first]
        for at, other in zip(times[first + 1 :], levels[first + 1 :], strict=True):
            if at >= until_at:
                break
            level = self._table.lower(level, other)
        return level

    def floor_now(self, position: int, until_at: float) -> Level:
        """Return the same from now on, of what is free in fact."""
        level = self._working.levels[position]
        if position not in self.plans:
            return level
        return self._table.lower(level, self.floor(position, self.now_at, until_at))

    def _row_of(self, take: Take) -> Any:
        # The numbers of CPUs make no difference here, and nearly every job has others.
        key = (take.cpus, take.memory_mib, take.gres)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self.tracks.make_row(take_row(take, self._width))
        return row


def _positions_of(takes: Takes) -> tuple[int, ...]:
    return tuple([position for position, _ in takes])


def _first(pair: tuple[float, Take]) -> float:
    return pair[0]


def _end_of(job: RunningJob) -> float:
    return NEVER if job.expected_end_at is None else job.expected_end_at


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
