"""When the engine has to look again: a heap of times, checked against the state when they come.

Entries are never removed: a limit that was changed or a job that ended leaves an entry which finds nothing to do.
"""

import heapq
from enum import IntEnum

from sluice.model.job import Job
from sluice.model.states import JobState


class Due(IntEnum):
    """What may be due; the key is a job's or a reservation's id, or nothing for the pass."""

    TIME_LIMIT = 1
    WARN_SIGNAL = 2
    DEADLINE = 3
    FORGET = 4
    PASS = 5
    DEPENDENCY = 6
    RESERVATION = 7
    IMMEDIATE = 8
    STEP_LAUNCH = 9
    PREEMPTION = 10
    MAIL = 11
    NUMBERING = 12


#: --mail-type word -> after which part of the limit.
MAIL_PARTS = {"TIME_LIMIT_50": 0.5, "TIME_LIMIT_80": 0.8, "TIME_LIMIT_90": 0.9}


class Timers:
    """(at, what, key) in order of time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, Due, int]] = []
        #: When a pass last numbered the jobs that wait, and whether the time to do it again is set.
        self.numbered_at = 0.0
        self.is_numbering = False

    def add(self, at: float, due: Due, key: int = 0) -> None:
        heapq.heappush(self._heap, (at, due, key))

    def add_job_limit(self, job: Job) -> None:
        """Look again when the job's limit is reached, and when its warning is due before that."""
        end_at = job.limit_at
        if end_at is None or job.limit_s is None or job.started_at is None:
            return
        self.add(end_at, Due.TIME_LIMIT, job.id)
        for word, part in MAIL_PARTS.items():
            if word in job.spec.mail_types:
                self.add(job.started_at + job.suspended_s + part * job.limit_s, Due.MAIL, job.id)
        if job.spec.warn_signal is not None and job.warned_at is None:
            self.add(end_at - job.spec.warn_signal.before_s, Due.WARN_SIGNAL, job.id)

    def add_preemption(self, job: Job) -> None:
        """Look again when the grace of a job that is being preempted is over."""
        if job.preemption is not None and job.state is JobState.RUNNING:
            self.add(job.preemption.ends_at, Due.PREEMPTION, job.id)

    def add_deadline(self, job: Job) -> None:
        """Look again when the job can no longer end by its deadline."""
        due_at = deadline_due_at(job)
        if due_at is not None:
            self.add(due_at, Due.DEADLINE, job.id)

    def add_immediate(self, job: Job) -> None:
        """Look again when a job must have started that somebody waits for."""
        if job.spec.immediate_s is not None:
            self.add(job.submitted_at + job.spec.immediate_s, Due.IMMEDIATE, job.id)

    def next_at(self) -> float | None:
        """Return the earliest time, None if nothing is due ever."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_at: float) -> list[tuple[Due, int]]:
        """Remove and return what is due by *now_at*, in order."""
        due = []
        while self._heap and self._heap[0][0] <= now_at:
            _, what, key = heapq.heappop(self._heap)
            due.append((what, key))
        return due


def deadline_due_at(job: Job) -> float | None:
    """Return until when the job must start to end by its deadline, None if it has none."""
    if job.spec.deadline_at is None:
        return None
    return job.spec.deadline_at - (job.spec.min_limit_s or job.limit_s or 0)
