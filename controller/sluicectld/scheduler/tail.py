"""The tail of the queue: behind the jobs that are planned only starts are looked for, many jobs in one question.

What this finds is what decide.py's walk would find one by one: the first job in the order of the queue that fits now
starts, and those before it, which did not fit, can't fit after it.  Only jobs whose start depends on nothing but what
is free on one node are asked together; at every other one the tail stops, and the walk looks at it.
"""

from collections.abc import Sequence
from typing import Any

from sluice.model.job import Job

from .memory import Scene, find_shape
from .shapes import Shape
from .snapshot import Policy
from .standing import Entry


def is_plain_job(job: Job) -> bool:
    """Does nothing but what is free keep the job from starting?"""
    spec = job.spec
    is_alone = job.pending_array is None and job.array_task_id is None and len(spec.partitions) <= 1
    return is_alone and not (spec.licenses or spec.switches or spec.reservation)


class Tail:
    """A run of plain jobs."""

    def __init__(self, scene: Scene, policy: Policy, entries: Sequence[Entry]) -> None:
        self._tracks = scene.timeline.tracks
        self.shapes: list[Shape] = []
        self._asks: list[Any] = []
        for job, partition in entries:
            if not is_plain_job(job):
                break
            shape = find_shape(scene, job, partition, policy)
            if not shape.is_plain or shape.partition_blocker is not None:
                break
            self.shapes.append(shape)
            self._asks.append(shape.ask)

    def find_start(self, first: int) -> int | None:
        """Return the index of the first job, *first* or later, that fits now; None when there is none."""
        asks = self._asks[first:] if first else self._asks
        index = first + self._tracks.first_ask(asks)
        return index if index < len(self._asks) else None
