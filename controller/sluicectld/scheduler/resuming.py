"""Suspended jobs that go on: each at its place in the queue, on the very CPUs that it had.

One that can go on does so before any job below it starts; one that can't keeps its CPUs from those below it, from the
moment on at which they are expected to be free.

Invariant: a job goes on only where its CPUs are free for the rest of its limit beside everything that is planned above.
"""

from collections.abc import Mapping

from sluice import cpuset
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.preemption import PreemptMode
from sluice.model.states import JobState

from .levels import Take
from .masks import TakenMasks
from .memory import Scene
from .snapshot import Snapshot
from .standing import Entry
from .timeline import Takes, read_take
from .tracks import NEVER


def with_suspended(entries: list[Entry], snapshot: Snapshot, priorities: Mapping[int, int]) -> list[Entry]:
    """Return the queue with the suspended jobs that wait to go on, before those that are their equals."""
    waiting = [each.job for each in snapshot.leaving if each.job is not None and waits_to_resume(each.job)]
    if not waiting:
        return entries

    def standing(job: Job, partition: Partition) -> tuple[int, int]:
        return -partition.priority_tier, -priorities.get(job.id, job.priority)

    added = [(job, snapshot.partitions.get(job.partition) or Partition(name=job.partition)) for job in waiting]
    added.sort(key=lambda entry: (standing(*entry), entry[0].id))
    merged: list[Entry] = []
    for entry in entries:
        while added and standing(*added[0]) <= standing(*entry):
            merged.append(added.pop(0))
        merged.append(entry)
    return merged + added


class Resuming:
    """What one pass lets go on."""

    def __init__(self, scene: Scene) -> None:
        self._working, self._timeline = scene.working, scene.timeline
        self._kept: list[tuple[int, Takes, float, float]] = []
        self.resumed: list[int] = []
        self._taken: list[tuple[Takes, float]] = []

    def consider(self, job: Job) -> None:
        """Let the job go on, or keep its CPUs for it."""
        takes = self._read_takes(job)
        if takes is None:
            return
        left_s = _left_s(job)
        now_at = self._timeline.now_at
        if self._is_free_now(takes, now_at + left_s):
            self._resume(job, takes, now_at + left_s)
            return
        at = self._earliest(takes, left_s)
        if at is not None:
            self._timeline.reserve(job.id, takes, at, at + left_s)
            self._kept.append((job.id, takes, at, at + left_s))

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

    def _is_free_now(self, takes: Takes, until_at: float) -> bool:
        for position, take in takes:
            assert take.masks is not None, "CPUs without numbers"
            if self._working.cpu_masks[position] & take.masks.cpus != take.masks.cpus:
                return False
            if self._timeline.floor_now(position, until_at).cpus < take.cpus:
                return False
        return True

    def _earliest(self, takes: Takes, left_s: float) -> float | None:
        """Return when as many CPUs are free on its nodes for as long as it needs them."""
        steps = [self._timeline.steps(position) for position, _ in takes]
        for at in sorted({time for times, _ in steps for time in times}):
            if all(self._timeline.floor(position, at, at + left_s).cpus >= take.cpus for position, take in takes):
                return at
        return None

    def _resume(self, job: Job, takes: Takes, end_at: float) -> None:
        self.resumed.append(job.id)
        for position, take in takes:
            self._working.take_cpus(position, take)
        self._timeline.start(takes, end_at)
        self._taken.append((takes, end_at))


def waits_to_resume(job: Job) -> bool:
    """Does the job go on by itself?  One that somebody has suspended does not until somebody says so."""
    preemption = job.preemption
    is_meant = preemption is not None and preemption.mode is PreemptMode.SUSPEND
    return job.state is JobState.SUSPENDED and is_meant


def _left_s(job: Job) -> float:
    """Return how much of its limit the job has left."""
    if job.limit_s is None or job.started_at is None or job.suspended_at is None:
        return NEVER
    return max(job.limit_s - (job.suspended_at - job.started_at - job.suspended_s), 0.0)
