"""What the records of one array add up to, kept as they change: a dependency on a large array is judged in no time."""

from sluice.model.job import Job
from sluice.model.states import JobState

from .dependencies import Outcome


class ArrayTally:
    """Counts over the base, the split-off tasks and the cancelled parts of one array.

    Invariant: the counts are those of the records in memory that have the array's id.
    """

    __slots__ = ("begun", "ended", "latest_end_at", "latest_start_at", "records", "successes")

    def __init__(self) -> None:
        self.records = 0
        #: Started or ended.
        self.begun = 0
        self.ended = 0
        self.successes = 0
        #: Of all starts, and of all ends, so far.
        self.latest_start_at: float | None = None
        self.latest_end_at = 0.0

    def add(self, job: Job) -> None:
        """Count a record."""
        self._count(job, 1)
        if job.started_at is not None:
            self.latest_start_at = max(self.latest_start_at or 0.0, job.started_at)
        if job.ended_at is not None:
            self.latest_end_at = max(self.latest_end_at, job.ended_at)

    def remove(self, job: Job) -> None:
        """Take a record out that was counted."""
        self._count(job, -1)

    def _count(self, job: Job, sign: int) -> None:
        is_over = job.is_ended and not job.is_requeued
        self.records += sign
        self.begun += sign * (is_over or job.started_at is not None)
        self.ended += sign * is_over
        self.successes += sign * (is_over and job.state is JobState.COMPLETED)

    def ended_before(self, at: float) -> bool:
        """Has all of the array ended, at the latest then?"""
        return self.ended == self.records and self.latest_end_at <= at

    def outcome(self) -> Outcome:
        """Return what a dependency on the whole array may know."""
        return Outcome(
            has_started=self.begun == self.records,
            started_at=self.latest_start_at,
            is_ended=self.ended == self.records,
            is_success=self.successes == self.records,
        )
