"""Suspended jobs that go on: each at its place in the queue, on the very CPUs that it had.

One that can go on does so before any job below it starts; one that can't keeps its CPUs from those below it, from the
moment on at which they are expected to be free.  The components of a heterogeneous job go on together, where the last
of them stands in the queue.

Invariant: a job goes on only where its CPUs are free for the rest of its limit beside everything that is planned above.
"""

from collections.abc import Iterable, Mapping

import msgspec

from sluice import cpuset
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode
from sluice.model.states import JobState

from .departures import lead_id_of
from .levels import Take
from .masks import TakenMasks
from .memory import Scene
from .snapshot import Snapshot
from .standing import Entry
from .timeline import Takes, read_take
from .tracks import NEVER
from .working import Saved


def with_suspended(entries: list[Entry], snapshot: Snapshot, priorities: Mapping[int, int]) -> list[Entry]:
    """Return the queue with the suspended jobs that wait to go on, before those that are their equals.

    A heterogeneous job is there once.
    """
    waiting = gather_suspended(snapshot)
    if not waiting:
        return entries

    def standing(entry: Entry) -> tuple[int, int]:
        job, partition = entry
        return -partition.priority_tier, -priorities.get(job.id, job.priority)

    def entry_of(job: Job) -> Entry:
        return job, snapshot.partitions.get(job.partition) or Partition(name=job.partition)

    added = [max(map(entry_of, parts), key=standing) for parts in waiting.values()]
    added.sort(key=lambda entry: (standing(entry), entry[0].id))
    merged: list[Entry] = []
    for entry in entries:
        while added and standing(added[0]) <= standing(entry):
            merged.append(added.pop(0))
        merged.append(entry)
    return merged + added


def gather_suspended(snapshot: Snapshot) -> dict[int, list[Job]]:
    """Return the suspended jobs that wait to go on: each alone, or all components of one, by its leader's id."""
    found: dict[int, list[Job]] = {}
    for each in snapshot.leaving:
        if each.job is not None and waits_to_resume(each.job):
            found.setdefault(lead_id_of(each.job), []).append(each.job)
    return found


class _Stay(msgspec.Struct, frozen=True):
    """What a job gets back, and for how long it needs it."""

    job_id: int
    takes: Takes
    left_s: float


class Resuming:
    """What one pass lets go on."""

    def __init__(self, scene: Scene, snapshot: Snapshot) -> None:
        self._working, self._timeline = scene.working, scene.timeline
        self._suspended = gather_suspended(snapshot)
        self._kept: list[tuple[int, Takes, float, float]] = []
        self.resumed: list[int] = []
        self._taken: list[tuple[Takes, float]] = []

    def consider(self, job: Job) -> None:
        """Let the job go on, with all of its components, or keep their CPUs for it."""
        lead_id = lead_id_of(job)
        stays = []
        for part in self._suspended[lead_id]:
            takes = self._read_takes(part)
            if takes is None:
                return
            stays.append(_Stay(part.id, takes, _left_s(part)))
        if self._resume_all(stays):
            self.resumed.append(lead_id)
            return
        at = self._earliest(_add_up(stays), max(stay.left_s for stay in stays))
        if at is None:
            return
        for stay in stays:
            self._timeline.reserve(stay.job_id, stay.takes, at, at + stay.left_s)
            self._kept.append((stay.job_id, stay.takes, at, at + stay.left_s))

    def undo(self) -> None:
        """Take out of the timeline what the pass has put in."""
        for job_id, takes, from_at, until_at in self._kept:
            self._timeline.release(job_id, takes, from_at, until_at)
        for takes, end_at in self._taken:
            self._timeline.undo_start(takes, end_at)

    def _read_takes(self, job: Job) -> Takes | None:
        """Return the CPUs of each node; None when a node is not in service."""
        assert job.allocation is not None, f"job {job.id} is suspended and holds nothing"
        takes = []
        for grant in job.allocation.grants:
            position = self._working.position_by_name.get(grant.node)
            if position is None or not self._working.nodes[position].node.is_usable:
                return None
            kind = self._working.kinds[position]
            take = read_take(kind, grant)
            masks = TakenMasks(cpuset.parse(grant.cpus), (0,) * len(kind.gres))
            takes.append((position, Take(take.cpus, 0, (0,) * len(kind.gres), masks)))
        return takes

    def _resume_all(self, stays: Iterable[_Stay]) -> bool:
        """Take the CPUs of all, one after the other; where those of one are not free, of none."""
        saved: list[Saved] = []
        taken: list[tuple[Takes, float]] = []
        for stay in stays:
            end_at = self._timeline.now_at + stay.left_s
            if not self._is_free_now(stay.takes, end_at):
                self._give_back(saved, taken)
                return False
            for position, take in stay.takes:
                saved.append(self._working.save_node(position))
                self._working.take_cpus(position, take)
            self._timeline.start(stay.takes, end_at)
            taken.append((stay.takes, end_at))
        self._taken += taken
        return True

    def _give_back(self, saved: list[Saved], taken: list[tuple[Takes, float]]) -> None:
        for takes, end_at in reversed(taken):
            self._timeline.undo_start(takes, end_at)
        for node in reversed(saved):
            self._working.restore_node(node)

    def _is_free_now(self, takes: Takes, until_at: float) -> bool:
        for position, take in takes:
            assert take.masks is not None, "CPUs without numbers"
            if self._working.cpu_masks[position] & take.masks.cpus != take.masks.cpus:
                return False
            if self._timeline.floor_now(position, until_at).cpus < take.cpus:
                return False
        return True

    def _earliest(self, cpus: Mapping[int, int], left_s: float) -> float | None:
        """Return when as many CPUs are free on the nodes, by position, for as long as they are needed."""
        steps = [self._timeline.steps(position) for position in cpus]
        for at in sorted({time for times, _ in steps for time in times}):
            if all(self._timeline.floor(each, at, at + left_s).cpus >= count for each, count in cpus.items()):
                return at
        return None


def waits_to_resume(job: Job) -> bool:
    """Does the job go on by itself?  One that somebody has suspended does not until somebody says so."""
    preemption = job.preemption
    is_meant = preemption is not None and preemption.mode is PreemptMode.SUSPEND
    return job.state is JobState.SUSPENDED and is_meant


def _add_up(stays: Iterable[_Stay]) -> dict[int, int]:
    """Return how many CPUs all of them have, by position."""
    cpus: dict[int, int] = {}
    for stay in stays:
        for position, take in stay.takes:
            cpus[position] = cpus.get(position, 0) + take.cpus
    return cpus


def _left_s(job: Job) -> float:
    """Return how much of its limit the job has left."""
    if job.limit_s is None or job.started_at is None or job.suspended_at is None:
        return NEVER
    return max(job.limit_s - (job.suspended_at - job.started_at - job.suspended_s), 0.0)
