"""One pass: walk the queue, start what fits, plan what does not, and say why everything else waits.

A job that fits now starts and its resources leave the working copy at once.  The first jobs that do not fit
get planned starts; lower ones start only where no planned start is delayed.  Without backfill a partition stops at
its first job that does not fit.  Every bound is a count.

Invariant: every eligible job is in starts (an array: with all its tasks) or in blockers.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason
from sluice.model.request import JobSpec

from . import explain
from .backfill import Slot, find_slot, release, reserve
from .limits import find_license_blocker, find_orphan_blocker, find_partition_blocker
from .needs import ShapeKey, compute_needs, compute_shape_key
from .plan import Plan, PlannedStart, StartJob
from .queue import Entry, rank_queue
from .search import Part, find_idle, find_now
from .shapes import Shape, is_user_sensitive
from .snapshot import Policy, RunningJob, Snapshot
from .timeline import Timeline
from .working import WorkingCopy

DEFAULT_POLICY = Policy()
Blockers = tuple[Blocker, ...]


def decide(snapshot: Snapshot, policy: Policy = DEFAULT_POLICY, focus_id: int = 0) -> Plan:
    """Return what to start now, what to expect, and why every other eligible job waits.

    focus_id: a job that is considered and planned whatever the bounds and the window are.
    """
    return Pass(snapshot, policy, focus_id).run()


class Pass:
    """The state of one pass; thrown away afterwards."""

    def __init__(self, snapshot: Snapshot, policy: Policy, focus_id: int) -> None:
        self.focus_id = focus_id
        self.snapshot = snapshot
        self.policy = policy
        self.working = WorkingCopy(snapshot, policy)
        self.licenses_free = dict(snapshot.licenses_free)
        self.shapes: dict[ShapeKey, Shape] = {}
        self.timeline: Timeline | None = None
        self.starts: list[StartJob] = []
        self.planned: dict[int, PlannedStart] = {}
        self.blockers: dict[int, Blockers] = {}
        #: The first job of each partition that did not fit.
        self.heads: dict[str, int] = {}
        #: Those that started of the jobs that ask for several partitions.
        self.started_ids: set[int] = set()
        #: What is kept for each planned job.
        self.slots: dict[int, tuple[Slot, Shape]] = {}
        #: Tasks started in this pass, by the array's job id.
        self.tasks_started: Counter[int] = Counter()
        #: The same by the array's id, with tasks that are jobs of their own already.
        self.array_starts: Counter[int] = Counter()
        self.looked_ahead = 0
        self.has_more = False
        self.tested = 0
        self.running_by_end: list[RunningJob] | None = None
        self.is_user_sensitive = is_user_sensitive(self.working, snapshot.pending, snapshot.partitions)

    def run(self) -> Plan:
        entries, orphans = rank_queue(self.snapshot, self.policy)
        for job in orphans:
            self.blockers[job.id] = (find_orphan_blocker(job),)
        for place_number, (job, partition) in enumerate(entries):
            if len(self.starts) >= self.policy.starts_max:
                self._leave_for_next_pass(entries[place_number:])
                break
            if job.id not in self.started_ids:
                self._consider(job, partition)
        return Plan(
            self.snapshot.version,
            tuple(self.starts),
            self.planned,
            self.blockers,
            self.has_more,
            self.tested,
            len(self.shapes),
        )

    def run_before(self, job_id: int) -> None:
        """Run the pass up to the job's turn, and no further."""
        entries, _ = rank_queue(self.snapshot, self.policy)
        for job, partition in entries:
            if job.id == job_id:
                break
            if job.id not in self.started_ids:
                self._consider(job, partition)

    def would_start(self, job: Job) -> bool:
        """Would the job start at this point of the pass?  Nothing is taken for it."""
        names = job.spec.partitions or (job.partition,)
        known = self.snapshot.partitions
        return any(self._has_room(job, known[name]) for name in names if name in known)

    def _has_room(self, job: Job, partition: Partition) -> bool:
        shape = self._shape_of(job, partition)
        if shape.blockers is not None or (not self.policy.is_backfilling and partition.name in self.heads):
            return False
        task_id = next(_tasks(job))
        return self._find_task_blocker(job, task_id, shape) is None and self._find_now(shape) is not None

    def _consider(self, job: Job, partition: Partition) -> None:
        self.tested += 1
        shape = self._shape_of(job, partition)
        blockers = shape.blockers
        if blockers is None:
            blockers = self._try_start(job, shape)
            if blockers is None:
                self.blockers.pop(job.id, None)
                return
        elif shape.may_plan or (job.id == self.focus_id and shape.is_waiting):
            self._plan(job, shape)
        if len(job.spec.partitions) > 1:
            blockers = self.blockers.get(job.id, ()) + explain.of_partition(blockers, partition.name)
        self.blockers[job.id] = blockers

    def _shape_of(self, job: Job, partition: Partition) -> Shape:
        uid = job.spec.uid if self.is_user_sensitive else None
        key = compute_shape_key(job, partition.name, -1 if uid is None else uid)
        shape = self.shapes.get(key)
        if shape is None:
            shape = self.shapes[key] = self._new_shape(job.spec, partition, job.limit_s, uid)
        return shape

    def _new_shape(self, spec: JobSpec, partition: Partition, limit_s: int | None, uid: int | None) -> Shape:
        needs = compute_needs(spec, partition, self.policy)
        shape = Shape(needs, partition, limit_s, self.working, uid)
        blocker = find_partition_blocker(needs, limit_s, partition)
        if blocker is not None:
            shape.blockers = (blocker,)
        return shape

    def _try_start(self, job: Job, shape: Shape) -> Blockers | None:
        """Start the job, or as many tasks of the array as may start; return what stops it, None if nothing does."""
        if not self.policy.is_backfilling and shape.partition.name in self.heads:
            return (self._priority_blocker(shape),)
        for task_id in itertools.islice(_tasks(job), self.tasks_started[job.id], None):
            blockers = self._find_task_blocker(job, task_id, shape)
            if blockers is not None:
                return blockers
            parts = self._find_now(shape)
            if parts is None:
                return self._block(job, shape)
            self._start(job, shape, parts, task_id)
        return None

    def _find_task_blocker(self, job: Job, task_id: int | None, shape: Shape) -> Blockers | None:
        license_blocker = find_license_blocker(shape.needs, self.licenses_free) if shape.needs.licenses else None
        if license_blocker is not None:
            shape.blockers = (license_blocker,)
            return shape.blockers
        if task_id is None:
            return self._find_throttle_blocker(job) if job.array_task_id is not None else None
        if len(self.starts) >= self.policy.starts_max:
            self.has_more = True
            return (self._next_pass_blocker(),)
        return self._find_throttle_blocker(job)

    def _find_throttle_blocker(self, job: Job) -> Blockers | None:
        # A task that was requeued or changed alone counts with its array.
        throttle = job.pending_array.throttle if job.pending_array else job.spec.array_throttle
        if not throttle:
            return None
        array_id = job.array_job_id or job.id
        running = self.snapshot.running_tasks.get(array_id, 0) + self.array_starts[array_id]
        if running < throttle:
            return None
        return (Blocker(reason=Reason.JOB_ARRAY_TASK_LIMIT, text=f"{running} of at most {throttle} tasks run"),)

    def _find_now(self, shape: Shape) -> list[Part] | None:
        if self.policy.is_least_loaded or shape.partition.least_loaded:
            shape.sort_by_load()
        return find_now(shape, self.working, self.timeline)

    def _start(self, job: Job, shape: Shape, parts: list[Part], task_id: int | None) -> None:
        needs = shape.needs
        grants = tuple([self.working.grant(part.position, part.take) for part in parts])
        allocation = Allocation(grants=grants, tasks_per_node=_tasks_per_node(shape, parts))
        self.starts.append(
            StartJob(job.id, allocation, shape.partition.name, shape.limit_s, task_id, needs.is_exclusive)
        )
        if self.timeline is not None:
            takes = [(part.position, part.take) for part in parts]
            self.timeline.add_start(allocation, takes, self.snapshot.now_at + shape.duration_s)
        for name, count in needs.licenses:
            self.licenses_free[name] -= count
        if shape.uid is not None:
            for part in parts:
                self.working.note_user(part.position, shape.uid, needs.is_user_exclusive)
        if task_id is not None or job.array_task_id is not None:
            self.array_starts[job.array_job_id or job.id] += 1
        if task_id is not None:
            self.tasks_started[job.id] += 1
        elif len(job.spec.partitions) > 1:
            self.started_ids.add(job.id)
            self._forget_slot(job)

    def _forget_slot(self, job: Job) -> None:
        """Give the planned start back of a job that started in another of its partitions."""
        planned = self.slots.pop(job.id, None)
        if planned is not None:
            assert self.timeline is not None, "a slot without a timeline"
            release(*planned, self.timeline)
            del self.planned[job.id]
            self.has_more = True

    def _block(self, job: Job, shape: Shape) -> Blockers:
        """Settle that the shape does not fit now; return the blockers of this job, the first of its shape."""
        if find_idle(shape, self.working, shape.candidates) is None:
            shape.blockers = (self._unavailable_blocker(shape),)
            return shape.blockers
        name = shape.partition.name
        is_head = name not in self.heads
        is_near = self.looked_ahead < self.policy.backfill_jobs_max
        if is_head:
            self.heads[name] = job.id
        resources = (self._resources_blocker(shape),) if is_head or is_near else ()
        if self.policy.is_backfilling:
            shape.is_waiting = True
            shape.may_plan = is_near
            self._plan(job, shape)
        shape.blockers = (self._priority_blocker(shape), *resources)
        return resources if is_head else shape.blockers

    def _unavailable_blocker(self, shape: Shape) -> Blocker:
        required_down = any(not self.working.nodes[each].node.is_usable for each in shape.required)
        if not required_down and find_idle(shape, self.working, shape.configured_candidates()) is not None:
            return explain.down_blocker(shape, self.working)
        return explain.unavailable_blocker(shape, self.working)

    def _plan(self, job: Job, shape: Shape) -> None:
        """Give the job a planned start, unless the bounds are reached or nothing is free within the window."""
        policy = self.policy
        is_focus = job.id == self.focus_id
        if self.looked_ahead >= policy.backfill_jobs_max or self._node_looks() >= policy.backfill_node_looks_max:
            shape.may_plan = False
        self.looked_ahead += 1
        if job.id in self.planned or not (shape.may_plan or is_focus):
            return
        timeline = self._timeline()
        slot = find_slot(shape, self.working, timeline, float("inf") if is_focus else policy.backfill_window_s)
        if slot is None:
            shape.may_plan = False
            return
        reserve(slot, shape, timeline)
        names = tuple(self.working.names[part.position] for part in slot.parts)
        cpu_count = sum(part.take.cpus for part in slot.parts)
        self.planned[job.id] = PlannedStart(slot.at, names, shape.partition.name, cpu_count)
        self.slots[job.id] = (slot, shape)
        shape.planned_at = slot.at
        shape.planned_count += 1
        shape.may_plan = shape.planned_count < policy.planned_per_shape_max

    def _node_looks(self) -> int:
        return 0 if self.timeline is None else self.timeline.looks

    def _timeline(self) -> Timeline:
        if self.timeline is None:
            self.timeline = timeline = Timeline(self.working, self.snapshot.now_at)
            for running in self.snapshot.running:
                timeline.add_running(running.allocation, running.expected_end_at)
            for start in self.starts:
                end_at = None if start.limit_s is None else self.snapshot.now_at + start.limit_s
                timeline.add_running(start.allocation, end_at)
        return self.timeline

    def _resources_blocker(self, shape: Shape) -> Blocker:
        if self.running_by_end is None:
            ending = [job for job in self.snapshot.running if job.expected_end_at is not None]
            self.running_by_end = sorted(ending, key=lambda job: (job.expected_end_at or 0.0, job.job_id))
        end = explain.next_end_text(shape, self.running_by_end, self.snapshot.now_at, self.policy.utc_offset_s)
        has_plans = self.timeline is not None and bool(self.timeline.planned_positions)
        funnel = explain.compute_funnel(shape, self.working, has_plans)
        return Blocker(reason=Reason.RESOURCES, text=funnel + end)

    def _priority_blocker(self, shape: Shape) -> Blocker:
        name = shape.partition.name
        return Blocker(reason=Reason.PRIORITY, text=f"behind job {self.heads[name]} in partition {name}")

    def _next_pass_blocker(self) -> Blocker:
        return Blocker(reason=Reason.NONE, text=f"this pass has started {len(self.starts)} jobs, its most")

    def _leave_for_next_pass(self, entries: list[Entry]) -> None:
        self.has_more = True
        blockers = (self._next_pass_blocker(),)
        for job, partition in entries:
            if job.id in self.started_ids:
                continue
            if job.id == self.focus_id:
                self._consider(job, partition)
            else:
                self.blockers.setdefault(job.id, blockers)


def _tasks(job: Job) -> Iterator[int | None]:
    """Yield the task ids of an array that have not started, ascending; None once for a plain job."""
    if job.pending_array is None:
        yield None
        return
    for first, last, step in job.pending_array.ranges:
        yield from range(first, last + 1, step or 1)


def _tasks_per_node(shape: Shape, parts: list[Part]) -> tuple[int, ...]:
    """Return tasks by node; a whole node without a number of tasks counts as many as its CPUs allow."""
    needs = shape.needs
    if needs.is_exclusive and not needs.has_task_count and not needs.node_tasks_max:
        return tuple([part.take.cpus // needs.cpus_per_task for part in parts])
    return tuple([part.tasks for part in parts])
