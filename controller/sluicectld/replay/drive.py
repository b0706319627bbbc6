"""A heap of timed events drives the scheduler: snapshots in, plans out, time jumps from event to event.

Events go in order of time; at one second first every submission in the order of the trace, then every end in the order
in which the jobs started.  After each event there is one pass, so that two ends of one second are two passes and the
first knows nothing of the second; but a job that ends exactly at its estimate is known to be gone when its last second
is over, whatever event comes first.  All decisions are decide()'s.

A pass is left out only where it can change nothing: nothing is pending, or nothing has changed since a pass of the
same second that started nothing and promised nothing, and decide() depends on its snapshot alone.  A promised start
(conservative backfill) is due also when nothing else happens: then there is a pass for it.

Invariant: what runs and what is free add up to the machine after every event.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil
from typing import Final

import msgspec
from msgspec.structs import replace

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.priority import PriorityTables
from sluice.model.request import JobSpec
from sluice.model.states import JobState
from sluicectld.scheduler.decide import decide as production_decide
from sluicectld.scheduler.memory import Memory
from sluicectld.scheduler.plan import Plan, PlannedStart, StartJob
from sluicectld.scheduler.priority import compute_context, compute_priority
from sluicectld.scheduler.snapshot import Policy, RunningJob, Snapshot
from sluicectld.state.runs import RunBook

from .machine import FreeNodes, Machine, find_refusal
from .schedule import Counts, Run, Schedule
from .trace import TraceJob

Decide = Callable[[Snapshot, Policy], Plan]
Progress = Callable[[int, int], None]


_UNKNOWN: Final = "?"


class _End(msgspec.Struct, frozen=True, order=True):
    """A job ends; equal ones in the order of their starts."""

    at: int
    start_number: int
    job_id: int
    is_expected: bool


def replay(
    jobs: Sequence[TraceJob],
    machine: Machine,
    policy: Policy,
    on_progress: Progress = lambda ended, total: None,
    decide: Decide | None = None,
) -> Schedule:
    """Return what becomes of *jobs* (in order of submission) on *machine* under *policy*.

    on_progress: told every hundredth of the way how many jobs have ended, and of how many.
    decide: the scheduler's own, unless said otherwise.
    """
    decide = decide or partial(production_decide, memory=Memory())
    return _Drive(jobs, machine, replace(policy, is_explaining=False), decide).run(on_progress)


class _Drive:
    """Job ids are places in the sequence of jobs, from 1: the queue's order is that of the sequence."""

    def __init__(self, jobs: Sequence[TraceJob], machine: Machine, policy: Policy, decide: Decide) -> None:
        self.jobs = jobs
        self.machine = machine
        self.policy = policy
        self.decide = decide
        self.free = FreeNodes(machine)
        self.pending: dict[int, Job] = {}
        self.running: dict[int, RunningJob] = {}
        self.records: dict[int, Job] = {}
        self.ends: list[_End] = []
        self.promised: dict[int, PlannedStart] = {}
        #: The next second for which a start is promised.
        self.due_s: int | None = None
        #: A job has ended since the last pass: promises may move ahead.
        self.is_freed = False
        #: Something that a pass sees has changed since the last one.
        self.has_changed = True
        self.version = 0
        self.started_s: dict[int, int] = {}
        self.allocations: dict[int, Allocation] = {}
        self.licenses_free = dict(machine.licenses)
        #: By array, for throttles.
        self.running_tasks: Counter[int] = Counter()
        self.refused: dict[int, str] = {}
        self.blockers: dict[int, str] = {}
        self.counts = Counts()
        # Of jobs that keep the priority of their submission: nothing in it changes with time.
        self._context = compute_context(policy, PriorityTables(), machine.partitions.values(), 0.0)
        self._specs: dict[tuple[int, int], JobSpec] = {}
        #: Id of an array in the past -> its id here.
        self._array_ids: dict[int, int] = {}
        #: By the identity of a spec, which lives as long as its job: telling specs apart by content costs more.
        self._refusals: dict[int, str | None] = {}
        self._run_book = RunBook()

    def run(self, on_progress: Progress) -> Schedule:
        submitted = ended = now = 0
        total = len(self.jobs)
        step = max(total // 100, 1)
        while submitted < total or self.ends:
            now = self._next_second(submitted)
            passes = self.counts.passes
            ends = self._pop_ends(now)
            while submitted < total and self.jobs[submitted].submitted_s == now:
                submitted += 1
                self._submit(self.jobs[submitted - 1], submitted, now)
                self._pass(now)
            for end in ends:
                if not end.is_expected:
                    self._release(end.job_id)
                # An end to the second compresses too: the last compression may have moved a job ahead that others
                # had been put behind.
                self.is_freed = True
                self._pass(now)
                ended += 1
                if ended % step == 0 or ended == total:
                    on_progress(ended, total)
            if now == self.due_s and self.counts.passes == passes:
                self._pass(now)
        if self.pending:
            self._note_blockers(now)
        return self._schedule()

    def _next_second(self, submitted: int) -> int:
        now = self.ends[0].at if self.ends else self.jobs[submitted].submitted_s
        if submitted < len(self.jobs):
            now = min(now, self.jobs[submitted].submitted_s)
        return now if self.due_s is None else min(now, self.due_s)

    def _pop_ends(self, now: int) -> list[_End]:
        """Return the ends of this second; what was expected to end now is free before anything else happens."""
        ends = []
        while self.ends and self.ends[0].at == now:
            end = heapq.heappop(self.ends)
            ends.append(end)
            if end.is_expected:
                self._release(end.job_id)
        if ends:
            self.has_changed = True
        return ends

    def _submit(self, trace_job: TraceJob, place: int, now: int) -> None:
        job = self._job(trace_job, place, float(now))
        refusal = self._refusals.get(id(job.spec), _UNKNOWN)
        if refusal is _UNKNOWN:
            refusal = self._refusals[id(job.spec)] = find_refusal(self.machine, job.spec)
        if refusal is not None:
            self.refused[trace_job.id] = refusal
            return
        partition = self.machine.partitions.get(job.partition, self.machine.partition)
        priority = compute_priority(job, partition, self.policy, self._context)
        job = self.pending[job.id] = replace(job, priority=priority)
        if self.policy.is_predicting:
            self._run_book.note(None, job)
        self.counts.pending_max = max(self.counts.pending_max, len(self.pending))
        self.has_changed = True

    def _job(self, trace_job: TraceJob, place: int, at: float) -> Job:
        record = trace_job.record
        if record is not None:
            # An array stands in the queue where its first task does.
            array_id = self._array_ids.setdefault(record.array_job_id, place) if record.array_job_id else 0
            return replace(record, id=place, array_job_id=array_id, submitted_at=at, eligible_at=at)
        return Job(
            id=place,
            spec=self._spec(trace_job),
            limit_s=trace_job.estimate_s,
            partition=self.machine.partition.name,
            submitted_at=at,
            eligible_at=at,
        )

    def _spec(self, trace_job: TraceJob) -> JobSpec:
        """Return the request of a job; equal ones are one record."""
        key = (trace_job.user, trace_job.processors)
        spec = self._specs.get(key)
        if spec is None:
            uid = max(trace_job.user, 0)
            spec = self._specs[key] = JobSpec(
                name="job",
                uid=uid,
                gid=uid,
                user=f"user{trace_job.user}",
                partitions=(self.machine.partition.name,),
                ntasks=trace_job.processors,
                given=frozenset({"ntasks"}),
            )
        return spec

    def _pass(self, now: int) -> None:
        """Decide once; again where the plan itself says that there is more to start."""
        if not self.pending or not self.has_changed:
            self.counts.skipped += 1
            self.is_freed = False
            return
        while True:
            plan = self.decide(self._snapshot(now), self.policy)
            self.counts.passes += 1
            for start in plan.starts:
                self._start(start, now)
            if self.policy.keeps_promises:
                self._keep(plan.planned, now)
            self.is_freed = False
            self.has_changed = bool(plan.starts) or self.policy.keeps_promises
            if not plan.starts or not plan.has_more:
                break

    def _keep(self, planned: dict[int, PlannedStart], now: int) -> None:
        """Remember what was promised, and when the next promise is due."""
        self.promised = planned
        # What was due and did not start waits for the next event, as it does behind a bound of the pass.
        self.due_s = min((due for each in planned.values() if (due := ceil(each.at)) > now), default=None)

    def _snapshot(self, now: int) -> Snapshot:
        self.version += 1
        return Snapshot(
            version=self.version,
            now_at=float(now),
            nodes=self.free.view(),
            partitions=self.machine.partitions,
            pending=tuple(self.pending.values()),
            running=tuple(self.running.values()),
            running_tasks=dict(self.running_tasks),
            licenses_free=dict(self.licenses_free),
            promised=self.promised,
            is_freed=self.is_freed,
            predicted_s=self._run_book.predicted_s,
        )

    def _start(self, start: StartJob, now: int) -> None:
        job = self.pending.pop(start.job_id)
        trace_job = self.jobs[job.id - 1]
        self.free.take(start.allocation, job)
        self.records[job.id] = job
        self.started_s[job.id] = now
        self.allocations[job.id] = start.allocation
        self.running[job.id] = RunningJob(
            job.id,
            job.spec.name,
            start.allocation,
            float(now + trace_job.estimate_s),
            job.spec.uid,
            start.partition,
        )
        self._count(job, 1)
        is_expected = trace_job.run_s == trace_job.estimate_s
        heapq.heappush(self.ends, _End(now + trace_job.run_s, len(self.started_s), job.id, is_expected))

    def _release(self, job_id: int) -> None:
        del self.running[job_id]
        job = self.records.pop(job_id)
        self.free.give_back(self.allocations[job_id], job)
        self._count(job, -1)
        self.has_changed = True
        if self.policy.is_predicting:
            at, trace_job = self.started_s[job_id], self.jobs[job_id - 1]
            ended = replace(job, state=JobState.COMPLETED, started_at=float(at), ended_at=float(at + trace_job.run_s))
            self._run_book.note(job, ended)

    def _count(self, job: Job, change: int) -> None:
        """Count a job that starts (1) or ends (-1) where the cluster as a whole is limited."""
        if job.array_task_id is not None:
            self.running_tasks[job.array_job_id] += change
        for name, count in self.allocations[job.id].licenses:
            self.licenses_free[name] = self.licenses_free.get(name, 0) - change * count

    def _note_blockers(self, now: int) -> None:
        """Keep why the rest waits, as nothing happens any more."""
        plan = self.decide(self._snapshot(now), replace(self.policy, is_explaining=True))
        self.blockers = {
            job_id: "; ".join(f"{each.reason.value}: {each.text}" for each in found)
            for job_id, found in plan.blockers.items()
        }

    def _schedule(self) -> Schedule:
        runs = [
            Run(job, self.started_s[job_id], self.allocations[job_id])
            for job_id, job in enumerate(self.jobs, 1)
            if job_id in self.started_s
        ]
        unstarted = {self.jobs[job_id - 1].id: self.blockers.get(job_id, "") for job_id in self.pending}
        return Schedule(tuple(runs), self.refused, unstarted, self.counts)
