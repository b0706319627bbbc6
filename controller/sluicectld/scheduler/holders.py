"""On whom a job waits: the jobs that hold what it lacks, by their end, until enough would be free.

The nodes that could serve the job get their running jobs' resources back in the order of the expected ends, until they
together hold the request; then jobs that it does not depend on are taken off the list again, small ones first.
Planned starts of other jobs are not looked at here: they are the funnel's last word.

Invariant: without any one of the holders the nodes would hold less of the request.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from sluice import hostlist
from sluice.model.allocation import NodeGrant
from sluice.model.explanation import Holder

from .departures import is_going
from .levels import Level, Take
from .marks import find_marks, is_short_unmarked, threshold_of
from .memory import Scene
from .place import sum_of_best
from .shapes import Shape
from .snapshot import RunningJob, Snapshot
from .timeline import Timeline
from .working import WorkingCopy

#: Holders that an answer names.
HOLDERS_MAX = 10
#: Jobs of which each is weighed whether the request depends on it.
_WEIGHED_MAX = 256


class Holders(msgspec.Struct, frozen=True):
    """named: at most HOLDERS_MAX.  is_enough: once all of them are gone the request fits."""

    named: tuple[Holder, ...] = ()
    left_off: int = 0
    is_enough: bool = False


def find_holders(shape: Shape, scene: Scene, snapshot: Snapshot) -> Holders:
    """Return the running jobs whose end would make room for the request.  scene: the snapshot's."""
    room = _Room(shape, scene, snapshot.now_at)
    if room.is_enough():
        return Holders(is_enough=True)
    ended: list[RunningJob] = []
    for job in sorted((*snapshot.running, *_not_clean(snapshot)), key=_end_key):
        if room.end(job):
            ended.append(job)
            if room.is_enough():
                break
    is_enough = room.is_enough()
    ranked = sorted(_needed(room, ended, is_enough), key=_end_key)
    named = tuple([_describe(job, room.grants_of(job)) for job in ranked[:HOLDERS_MAX]])
    return Holders(named, max(len(ranked) - HOLDERS_MAX, 0), is_enough)


def _not_clean(snapshot: Snapshot) -> list[RunningJob]:
    """Return the jobs that have ended, preempted or not, and still hold something."""
    left = [each for each in snapshot.leaving if each.job is not None and each.job.is_ended]
    return [*left, *snapshot.completing]


def find_holders_on(positions: Sequence[int], timeline: Timeline, working: WorkingCopy) -> Holders:
    """Return all jobs that hold something of these nodes."""
    names = {working.names[position] for position in positions}
    jobs = {job.job_id: job for position in positions for job in timeline.jobs_at(position)}
    ranked = sorted(jobs.values(), key=_end_key)
    named = [
        _describe(job, [grant for grant in job.allocation.grants if grant.node in names])
        for job in ranked[:HOLDERS_MAX]
    ]
    return Holders(tuple(named), max(len(ranked) - HOLDERS_MAX, 0))


def _needed(room: "_Room", ended: list[RunningJob], is_enough: bool) -> list[RunningJob]:
    """Return the jobs without those whose end changes nothing for the request."""
    needed = set(range(len(ended)))
    for place in sorted(needed, key=lambda place: (ended[place].allocation.cpu_count, place))[:_WEIGHED_MAX]:
        before = room.sums()
        room.take_back(ended[place])
        if room.is_enough() if is_enough else room.sums() == before:
            needed.discard(place)
        else:
            room.end(ended[place])
    return [ended[place] for place in sorted(needed)]


class _Room:
    """What the nodes that suit the job would offer, as running jobs leave them."""

    def __init__(self, shape: Shape, scene: Scene, now_at: float) -> None:
        self._shape = shape
        self._table = scene.working.table
        self._timeline = scene.timeline
        self._names = scene.working.names
        self._threshold = threshold_of(shape.needs)
        levels, marks = scene.working.levels, find_marks(shape, scene.working, now_at)
        if is_short_unmarked(shape, scene.working, marks):
            # Whatever else keeps them from it: who runs there stands against it, too.
            marks = {}
        self._before = {position: levels[position] for position in shape.candidates if position not in marks}
        self._levels = dict(self._before)
        self._ended: dict[int, dict[int, Take]] = {}
        #: How many nodes offer so many tasks: few numbers, whatever the number of nodes.
        self._offers = Counter(map(self._offer, self._levels.values()))
        self._nodes = len(self._levels) - self._offers[0]
        self._tasks = sum(offer * count for offer, count in self._offers.items())

    def end(self, job: RunningJob) -> bool:
        """Give back what the job has of these nodes; return whether it has something of them."""
        has_some = False
        for position, take in self._timeline.takes_of(job.job_id):
            level = self._levels.get(position)
            if level is not None:
                has_some = True
                self._ended.setdefault(position, {})[job.job_id] = take
                self._note(position, self._table.give_back(level, take))
        return has_some

    def take_back(self, job: RunningJob) -> None:
        """Undo end()."""
        for position, _ in self._timeline.takes_of(job.job_id):
            takes = self._ended.get(position)
            if takes is not None and takes.pop(job.job_id, None) is not None:
                level = self._before[position]
                for take in takes.values():
                    level = self._table.give_back(level, take)
                self._note(position, level)

    def grants_of(self, job: RunningJob) -> list[NodeGrant]:
        """Return what an ended job had of these nodes."""
        takes = self._timeline.takes_of(job.job_id)
        names = {self._names[position] for position, _ in takes if job.job_id in self._ended.get(position, ())}
        return [grant for grant in job.allocation.grants if grant.node in names]

    def sums(self) -> tuple[int, int, tuple[int, ...]]:
        """Return (nodes of use, tasks, units of what is asked for the whole job)."""
        return self._nodes, self._tasks, self._shares()

    def is_enough(self) -> bool:
        """Would the nodes hold the request?"""
        needs = self._shape.needs
        if self._nodes < needs.nodes_min or self._tasks < needs.tasks:
            return False
        if needs.nodes_max and sum_of_best(self._offers, needs.nodes_max) < needs.tasks:
            return False
        named = self._shape.named_tasks
        lacking = (
            self._offer(self._levels[each]) < named.get(each, 1) for each in self._shape.required & self._before.keys()
        )
        if any(lacking):
            return False
        return all(have >= item.count for have, item in zip(self._shares(), needs.gres_per_job, strict=False))

    def _shares(self) -> tuple[int, ...]:
        if not self._shape.needs.gres_per_job:
            return ()
        return tuple([sum(units) for units in zip(*map(self._shape.share, self._levels.values()), strict=True)])

    def _note(self, position: int, level: Level) -> None:
        before, after = self._offer(self._levels[position]), self._offer(level)
        self._levels[position] = level
        if before != after:
            self._offers[before] -= 1
            self._offers[after] += 1
            self._nodes += bool(after) - bool(before)
            self._tasks += after - before

    def _offer(self, level: Level) -> int:
        offer = self._shape.offer(level)
        return offer if offer >= self._threshold else 0


def _end_key(job: RunningJob) -> tuple[float, int]:
    end_at = _end_of(job)
    return (float("inf") if end_at is None else end_at), job.job_id


def _end_of(running: RunningJob) -> float | None:
    """Return by when it ends: at its limit, or at the end of its grace."""
    preemption = running.job.preemption if running.job is not None else None
    return running.expected_end_at if preemption is None or not is_going(running) else preemption.ends_at


def _is_preempted(running: RunningJob) -> bool:
    return running.job is not None and running.job.preemption is not None and is_going(running)


def _describe(job: RunningJob, grants: Sequence[NodeGrant]) -> Holder:
    return Holder(
        job_id=job.job_id,
        name=job.name,
        nodes=hostlist.fold([grant.node for grant in grants]),
        end_at=_end_of(job),
        is_preempted=_is_preempted(job),
        is_completing=job.job is not None and job.job.is_ended,
        holds=_describe_grants(grants),
    )


def _describe_grants(grants: Sequence[NodeGrant]) -> str:
    cpus = sum(grant.cpu_count for grant in grants)
    words = [f"{cpus} CPU" if cpus == 1 else f"{cpus} CPUs"]
    memory_mib = sum(grant.memory_mib for grant in grants)
    if memory_mib:
        words.append(f"{memory_mib} MiB")
    counts: dict[str, int] = {}
    for grant in grants:
        for item in grant.gres:
            word = f"{item.name}:{item.type}" if item.type else item.name
            counts[word] = counts.get(word, 0) + item.count
    return ", ".join([*words, *(f"{count} {word}" for word, count in counts.items())])
