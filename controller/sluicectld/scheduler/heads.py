"""Heads of queues: the first job of each that did not fit, and who has to wait behind it whatever room there is.

Invariant: a queue's head is the first job that was noted; it stays the head for the whole pass.
"""

from sluice.model.job import Job
from sluice.model.reason import Blocker

from . import verdicts
from .bounds import Bounds
from .shapes import Shape
from .snapshot import Policy


class Heads:
    """The heads of one pass.  bounds: where it is counted how many jobs go ahead of one that waits."""

    def __init__(self, policy: Policy, bounds: Bounds) -> None:
        self._policy = policy
        self._bounds = bounds
        #: Job ids by queue.
        self._first: dict[str, int] = {}
        #: Queues where a job waits for a limit and all below it with it.
        self._stopped: set[str] = set()

    @property
    def count(self) -> int:
        """How many queues have a head by now."""
        return len(self._first)

    def has(self, queue: str) -> bool:
        """Does a job of the queue wait already?"""
        return queue in self._first

    def is_first(self, job: Job, shape: Shape) -> bool:
        return self._first.get(shape.queue) == job.id

    def is_stopped(self, shape: Shape) -> bool:
        return shape.queue in self._stopped

    def is_candidate(self, shape: Shape) -> bool:
        """Would its jobs go ahead of one that waits, where it is counted how many do?"""
        return self._bounds.are_set and shape.queue in self._first

    def find_blocker(self, job: Job, shape: Shape) -> Blocker | None:
        """Return that the job has to wait behind another one of its queue, whatever room there is."""
        if shape.queue in self._stopped or (not self._policy.is_backfilling and shape.queue in self._first):
            return self.tell_behind(shape)
        if self.is_candidate(shape):
            return self._bounds.find_candidate_blocker(job, shape.queue)
        return None

    def tell_behind(self, shape: Shape) -> Blocker:
        """Return that a job of the shape waits behind the head of its queue."""
        if not self._policy.is_explaining:
            return verdicts.PRIORITY
        return verdicts.behind(self._first[shape.queue], shape)

    def note(self, job: Job, shape: Shape) -> None:
        """Remember the first job of a queue that did not fit."""
        self._first.setdefault(shape.queue, job.id)

    def note_stop(self, job: Job, shape: Shape) -> None:
        """Remember a job that a limit keeps from starting, where that stops its queue."""
        if self._policy.stops_at_limits:
            self._stopped.add(shape.queue)
            self.note(job, shape)

    def note_candidate(self, job: Job, shape: Shape) -> None:
        """Count a job that was looked at behind one that waits."""
        self._bounds.note_candidate(job, shape.queue)

    def note_start(self, shape: Shape) -> None:
        """Count a start, if it is ahead of a job that waits."""
        if shape.queue in self._first:
            self._bounds.note_start()
