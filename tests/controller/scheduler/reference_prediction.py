"""Backfill with predicted run times on one pool of processors: the whole policy in integers and lists.

The rules of the pool: at one second first the submissions, then the ends in the order of the starts; a pass after
each of them; a job whose limit is over is known to be gone.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from sluicectld.scheduler.predict import FinishedRun, Runs, add_run, predict_run_s


class PoolJob(NamedTuple):
    """One line of a trace; run_s is at most limit_s."""

    id: int
    submitted_at: int
    run_s: int
    processors: int
    limit_s: int
    uid: int


class Promise(NamedTuple):
    """What the head job of a pass was promised."""

    now_at: int
    job_id: int
    start_at: int


class Pool:
    """The state of a replay: who waits, who runs, what is known of each user."""

    def __init__(self, processors: int, patience_limits: int = 6, patience_max_s: int = 3 * 86400) -> None:
        self.processors = processors
        self.patience_limits = patience_limits
        self.patience_max_s = patience_max_s
        self.queue: list[PoolJob] = []
        #: (limit is over at, job)
        self.running: list[tuple[int, PoolJob]] = []
        self.runs_by_uid: dict[int, Runs] = {}
        self.predicted_s: dict[int, float] = {}
        self.starts: dict[int, int] = {}
        self.promises: list[Promise] = []

    def submit(self, job: PoolJob) -> None:
        predicted = predict_run_s(self.runs_by_uid.get(job.uid, ()), job.limit_s)
        self.predicted_s[job.id] = job.limit_s if predicted is None else predicted
        self.queue.append(job)

    def end(self, job: PoolJob) -> None:
        self.running = [entry for entry in self.running if entry[1].id != job.id]
        run = FinishedRun(job.limit_s, job.run_s)
        self.runs_by_uid[job.uid] = add_run(self.runs_by_uid.get(job.uid, ()), run)

    def decide(self, now_at: int) -> list[PoolJob]:
        """Start what may start now and return it."""
        started: list[PoolJob] = []
        while self.queue and self.queue[0].processors <= self._free(now_at):
            started.append(self._start(self.queue.pop(0), now_at))
        if not self.queue or not self._free(now_at):
            return started
        head = self.queue[0]
        promised_at = self._promise(head, now_at)
        self.promises.append(Promise(now_at, head.id, promised_at))
        for job in self._candidates(now_at):
            fits_beside = job.processors <= self._free(promised_at) - head.processors
            is_gone_by_then = now_at + job.limit_s <= promised_at
            if job.processors <= self._free(now_at) and (is_gone_by_then or fits_beside):
                started.append(self._start(job, now_at))
        ids = {job.id for job in started}
        self.queue = [job for job in self.queue if job.id not in ids]
        return started

    def _promise(self, head: PoolJob, now_at: int) -> int:
        """Return the first moment, not before the head is due, at which it fits when all run to their limits."""
        from_at = max(now_at, self._due_at(head))
        moments = sorted(end_at for end_at, _ in self.running if end_at > from_at)
        return next(at for at in (from_at, *moments) if head.processors <= self._free(at))

    def _candidates(self, now_at: int) -> list[PoolJob]:
        """Return the jobs behind the head: those past their due time first, then the shortest by prediction."""
        overdue = [job for job in self.queue[1:] if now_at > self._due_at(job)]
        others = [job for job in self.queue[1:] if now_at <= self._due_at(job)]
        return overdue + sorted(others, key=lambda job: self.predicted_s[job.id])

    def _due_at(self, job: PoolJob) -> int:
        return job.submitted_at + min(self.patience_limits * job.limit_s, self.patience_max_s)

    def _free(self, at: int) -> int:
        return self.processors - sum(job.processors for end_at, job in self.running if end_at > at)

    def _start(self, job: PoolJob, now_at: int) -> PoolJob:
        self.running.append((now_at + job.limit_s, job))
        self.starts[job.id] = now_at
        return job


def replay(jobs: Sequence[PoolJob], pool: Pool) -> dict[int, int]:
    """Return the start of every job by its id; jobs: in the order of their submission."""
    ends: list[tuple[int, int, PoolJob]] = []
    coming = list(reversed(jobs))
    while coming or ends:
        if coming and (not ends or coming[-1].submitted_at <= ends[0][0]):
            job = coming.pop()
            now_at = job.submitted_at
            pool.submit(job)
        else:
            now_at, _, job = heapq.heappop(ends)
            pool.end(job)
        for started in pool.decide(now_at):
            heapq.heappush(ends, (now_at + started.run_s, len(pool.starts), started))
    return pool.starts
