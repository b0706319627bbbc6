"""The tail of the queue: behind the jobs that are planned only starts are looked for, many jobs in one question.

What this finds is what decide.py's walk would find one by one: the first job in the order of the queue that fits now
starts, and those before it, which did not fit, can't fit after it.  Only jobs whose start depends on nothing but what
is free on one node are asked together; at every other one the tail stops, and the walk looks at it.
"""

from collections.abc import Iterable
from typing import Any

from sluice.model.job import Job
from sluice.model.partition import Partition

from .memory import Scene, find_shape
from .snapshot import Policy
from .standing import Entry


def is_plain_job(job: Job) -> bool:
    """Does nothing but what is free keep the job from starting?"""
    spec = job.spec
    is_alone = job.pending_array is None and job.array_task_id is None and len(spec.partitions) <= 1
    is_bound = job.is_component or spec.min_limit_s is not None or spec.licenses or spec.switches or spec.reservation
    return is_alone and not is_bound


class Tail:
    """A run of plain jobs."""

    def __init__(self, scene: Scene, policy: Policy, entries: Iterable[Entry]) -> None:
        self._tracks = scene.timeline.tracks
        self._asks: list[Any] = []
        if scene.asks_seen != scene.working.usable_version:
            scene.asks_seen = scene.working.usable_version
            scene.asks.clear()
        known_asks = scene.asks
        for job, partition in entries:
            known = known_asks.get(job.id)
            if known is None or known[0] is not job or known[1] is not partition:
                ask = _make_ask(scene, policy, job, partition)
                known = known_asks[job.id] = (job, partition, ask)
            if known[2] is None:
                break
            self._asks.append(known[2])

    def __len__(self) -> int:
        return len(self._asks)

    def find_start(self, first: int) -> int | None:
        """Return the index of the first job, *first* or later, that fits now; None when there is none."""
        asks = self._asks[first:] if first else self._asks
        index = first + self._tracks.first_ask(asks)
        return index if index < len(self._asks) else None


def _make_ask(scene: Scene, policy: Policy, job: Job, partition: Partition) -> Any:
    """Return whether the job fits now as a question for the tracks; None where that is not all that counts."""
    if not is_plain_job(job):
        return None
    shape = find_shape(scene, job, partition, policy)
    return shape.ask if shape.is_plain and shape.partition_blocker is None else None
