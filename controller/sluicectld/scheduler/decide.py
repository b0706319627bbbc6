"""One pass: walk the queue, start what fits, plan what does not, and say why everything else waits.

A job that fits now starts and its resources leave the working copy at once.  The first jobs that do not fit
get planned starts; lower ones start only where no planned start is delayed.  Without backfill a partition stops at
its first job that does not fit.  Every bound is a count.  What differs between policies stands in Policy.

Invariant: every eligible job is in starts (an array: with all its tasks) or in blockers.
"""

import itertools
from collections.abc import Iterator

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker

from . import explain, verdicts
from .backfill import Slot, find_slot, release, reserve
from .ledger import Ledger
from .limits.partition import find_orphan_blocker
from .memory import Memory, Scene
from .plan import Plan, PlannedStart
from .queue import Queue, rank
from .reservation_texts import find_closed_blocker
from .reservations import View
from .search import find_idle, find_now
from .shapes import Shape
from .shaping import Shaper
from .snapshot import Policy, Snapshot
from .standing import Entry
from .tracks import NEVER
from .verdicts import Verdicts

DEFAULT_POLICY = Policy()
Blockers = tuple[Blocker, ...]


def decide(
    snapshot: Snapshot, policy: Policy = DEFAULT_POLICY, focus_id: int = 0, memory: Memory | None = None
) -> Plan:
    """Return what to start now, what to expect, and why every other eligible job waits.

    focus_id: a job that is considered and planned whatever the bounds and the window are.
    memory: of earlier passes; it makes a pass faster, never different.
    """
    memory = memory or Memory()
    scene = memory.enter(snapshot, policy)
    one_pass = Pass(snapshot, policy, focus_id, scene)
    plan = one_pass.run()
    one_pass.undo()
    memory.leave(scene)
    return plan


class Pass:
    """The state of one pass; thrown away afterwards.  queue: if it is known already, or if it is not to be whole."""

    def __init__(
        self, snapshot: Snapshot, policy: Policy, focus_id: int, scene: Scene, queue: Queue | None = None
    ) -> None:
        self.focus_id = focus_id
        self.snapshot = snapshot
        self.policy = policy
        self.scene = scene
        self.working = scene.working
        self.timeline = scene.timeline
        self.latest_at = snapshot.now_at + policy.backfill_window_s
        self.ledger = Ledger(snapshot, policy, scene)
        self.gate = self.ledger.gate
        self.shaper = Shaper(snapshot, policy, scene, self.ledger.book)
        self.verdicts = Verdicts(snapshot, policy, self.working)
        self.planned: dict[int, PlannedStart] = {}
        self.blockers: dict[int, Blockers] = {}
        #: The first job of each partition that did not fit.
        self.heads: dict[str, int] = {}
        #: Partitions where a job waits for a limit and all below it with it.
        self.stopped: set[str] = set()
        #: Those that started of the jobs that ask for several partitions.
        self.started_ids: set[int] = set()
        #: What is kept for each planned job.
        self.slots: dict[int, tuple[Slot, Shape]] = {}
        self.looked_ahead = 0
        self.planned_count = 0
        self.has_more = False
        self.tested = 0
        self._queue = queue

    @property
    def queue(self) -> Queue:
        if self._queue is None:
            self._queue = rank(self.snapshot, self.policy)
        return self._queue

    def run(self) -> Plan:
        queue, entries = self.queue, [*self.queue.entries]
        for job in queue.orphans:
            self.blockers[job.id] = (find_orphan_blocker(job),)
        for place_number, (job, partition) in enumerate(self._in_order(entries)):
            if self._has_started_most():
                self._leave_for_next_pass(entries[place_number:])
                break
            if job.id not in self.started_ids:
                self._consider(job, partition)
        return Plan(
            self.snapshot.version,
            tuple(self.ledger.starts),
            self.planned,
            self.blockers,
            self.has_more,
            self.tested,
            len(self.scene.shapes),
            queue.priorities,
            self.shaper.look_again_at,
        )

    def run_before(self, job_id: int) -> None:
        """Run the pass up to the job's turn, and no further."""
        for job, partition in self._in_order([*self.queue.entries]):
            if job.id == job_id or self._has_started_most():
                break
            if job.id not in self.started_ids:
                self._consider(job, partition)

    def would_start(self, job: Job) -> bool:
        """Would the job start at this point of the pass?  Nothing is taken for it."""
        if self._has_started_most():
            return False
        known = self.snapshot.partitions
        asked = [known[name] for name in job.spec.partitions or (job.partition,) if name in known]
        return any(self._has_room(job, self.gate.relax(job, partition)) for partition in asked)

    def _has_room(self, job: Job, partition: Partition) -> bool:
        for view in self.ledger.book.views_of(job):
            shape = self.shaper.make(job, partition, view)
            if shape.blockers is not None or self._is_queue_closed(shape):
                continue
            # Limits are asked with the rest.
            if self._find_task_blocker(job, next(_tasks(job)), shape) is not None:
                continue
            parts = find_now(shape, self.working, self.timeline)
            if parts is not None and not self.ledger.find_placed_blockers(job, shape, parts):
                return True
        return False

    def _in_order(self, entries: list[Entry]) -> Iterator[Entry]:
        """Yield the entries as they are to be considered: behind the planned jobs the shortest first, if so asked."""
        if not self.policy.is_shortest_first:
            yield from entries
            return
        index = 0
        while index < len(entries) and self.planned_count < self.policy.planned_max:
            yield entries[index]
            index += 1
        entries[index:] = sorted(entries[index:], key=_limit_of)
        yield from entries[index:]

    def undo(self) -> None:
        """Take what this pass added out of the scene."""
        self.ledger.undo()
        for job_id, (slot, shape) in self.slots.items():
            release(job_id, slot, shape, self.timeline)

    def _consider(self, job: Job, partition: Partition) -> None:
        self.tested += 1
        partition = self.gate.relax(job, partition)
        blockers: Blockers = ()
        for view in self.ledger.book.views_of(job):
            found = self._consider_view(job, partition, view)
            if found is None:
                self._forget_waiting(job)
                return
            # Of magnetic reservations nobody knows who did not ask for them: they are no reason to wait.
            blockers = blockers + found if job.spec.reservation else found
        if len(job.spec.partitions) > 1:
            blockers = self.blockers.get(job.id, ()) + explain.of_partition(blockers, partition.name)
        self.blockers[job.id] = blockers

    def _consider_view(self, job: Job, partition: Partition, view: View) -> Blockers | None:
        """Start or plan the job one way; return what stops it, None if nothing does."""
        shape = self.shaper.find(job, partition, view)
        blockers = shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            self._note_stop(job, shape)
            # What bars the shape for good is more telling than a limit, that others are ahead of it is not.
            is_barred = blockers is not None and not shape.is_waiting
            return (*(blockers or ()), *limited) if is_barred else (*limited, *(blockers or ()))
        if blockers is None:
            return self._try_start(job, shape)
        if self._may_plan(shape) or (job.id == self.focus_id and shape.is_waiting):
            self._plan(job, shape)
        return blockers

    def _forget_waiting(self, job: Job) -> None:
        """Take back what was found while the job waited in another of its partitions: all of it has started."""
        self.blockers.pop(job.id, None)
        self.started_ids.add(job.id)
        self._forget_slot(job)

    def _try_start(self, job: Job, shape: Shape) -> Blockers | None:
        """Start the job, or as many tasks of the array as may start; return what stops it, None if nothing does."""
        if self._is_queue_closed(shape):
            return (self._priority_blocker(shape),)
        for task_id in itertools.islice(_tasks(job), self.ledger.tasks_started[job.id], None):
            blockers = self._find_task_blocker(job, task_id, shape)
            if blockers is not None:
                return blockers
            parts = find_now(shape, self.working, self.timeline)
            if parts is None:
                return self._block(job, shape)
            limited = self.ledger.find_placed_blockers(job, shape, parts)
            if limited:
                self._note_stop(job, shape)
                return limited
            self.ledger.start(job, shape, parts, task_id)
        return None

    def _find_task_blocker(self, job: Job, task_id: int | None, shape: Shape) -> Blockers | None:
        lacking = self.ledger.find_license_blocker(shape)
        if lacking is not None:
            shape.blockers = (lacking,)
            return shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            return limited
        if task_id is not None and self._has_started_most():
            self.has_more = True
            return (verdicts.next_pass(len(self.ledger.starts)),)
        is_of_array = task_id is not None or job.array_task_id is not None
        throttled = self.ledger.find_throttle_blocker(job) if is_of_array else None
        return None if throttled is None else (throttled,)

    def _has_started_most(self) -> bool:
        return len(self.ledger.starts) >= self.policy.starts_max

    def _is_queue_closed(self, shape: Shape) -> bool:
        """Does the shape's queue wait behind one of its jobs, whatever room there is?"""
        name = _queue_name(shape)
        return name in self.stopped or (not self.policy.is_backfilling and name in self.heads)

    def _note_stop(self, job: Job, shape: Shape) -> None:
        """Remember a job that a limit keeps from starting, where that stops its queue."""
        if self.policy.stops_at_limits:
            self.stopped.add(_queue_name(shape))
            self.heads.setdefault(_queue_name(shape), job.id)

    def _may_plan(self, shape: Shape) -> bool:
        return shape.may_plan and _queue_name(shape) not in self.stopped

    def _forget_slot(self, job: Job) -> None:
        """Give the planned start back of a job that started in another of its partitions."""
        planned = self.slots.pop(job.id, None)
        if planned is not None:
            slot, shape = planned
            release(job.id, slot, shape, self.timeline)
            self.ledger.uncount_cpus(shape, slot.at, slot.parts)
            del self.planned[job.id]
            self.has_more = True

    def _block(self, job: Job, shape: Shape) -> Blockers:
        """Settle that the shape does not fit now; return the blockers of this job, the first of its shape."""
        if find_idle(shape, self.working, shape.candidates) is None:
            shape.blockers = (verdicts.unavailable(shape, self.working),)
            return shape.blockers
        closed = find_closed_blocker(shape, self.working, self.timeline, self.policy.utc_offset_s)
        if closed is not None:
            shape.blockers = (closed,)
            self._plan_waiting(job, shape)
            return shape.blockers
        name = _queue_name(shape)
        is_head = name not in self.heads
        is_near = self.looked_ahead < self.policy.backfill_jobs_max
        if is_head:
            self.heads[name] = job.id
        resources = (self.verdicts.resources(shape, bool(self.slots)),) if is_head or is_near else ()
        self._plan_waiting(job, shape)
        shape.blockers = (self._priority_blocker(shape), *resources)
        return resources if is_head else shape.blockers

    def _plan_waiting(self, job: Job, shape: Shape) -> None:
        """Plan the first job of a shape that waits for resources; its twins may be planned after it."""
        if self.policy.is_backfilling:
            shape.is_waiting = True
            shape.may_plan = self.looked_ahead < self.policy.backfill_jobs_max
            self._plan(job, shape)

    def _plan(self, job: Job, shape: Shape) -> None:
        """Give the job a planned start, unless the bounds are reached or nothing is free within the window."""
        policy = self.policy
        is_focus = job.id == self.focus_id
        if not is_focus and not self.gate.may_reserve(job, shape):
            return
        is_far = self.looked_ahead >= policy.backfill_jobs_max or self.planned_count >= policy.planned_max
        if is_far or self.timeline.tracks.looks >= policy.backfill_node_looks_max:
            shape.may_plan = False
        self.looked_ahead += 1
        if job.id in self.planned or not (shape.may_plan or is_focus):
            return
        latest_at, looks_max = (NEVER, NEVER) if is_focus else (self.latest_at, policy.backfill_node_looks_max)
        slot = find_slot(shape, self.working, self.timeline, latest_at, looks_max)
        if slot is None:
            shape.may_plan = False
            return
        reserve(job.id, slot, shape, self.timeline)
        self.ledger.count_cpus(shape, slot.at, slot.parts)
        names = tuple(self.working.names[part.position] for part in slot.parts)
        cpu_count = sum(part.take.charged or part.take.cpus for part in slot.parts)
        self.planned[job.id] = PlannedStart(slot.at, names, shape.partition.name, cpu_count)
        self.slots[job.id] = (slot, shape)
        self.planned_count += 1
        shape.planned_at = slot.at
        shape.planned_count += 1
        shape.may_plan = shape.planned_count < policy.planned_per_shape_max

    def _priority_blocker(self, shape: Shape) -> Blocker:
        return verdicts.behind(self.heads[_queue_name(shape)], shape)

    def _leave_for_next_pass(self, entries: list[Entry]) -> None:
        self.has_more = True
        blockers = (verdicts.next_pass(len(self.ledger.starts)),)
        for job, partition in entries:
            if job.id in self.started_ids:
                continue
            if job.id == self.focus_id:
                self._consider(job, partition)
            else:
                self.blockers.setdefault(job.id, blockers)


def _queue_name(shape: Shape) -> str:
    """Return what names the queue that the shape's jobs stand in: those of a reservation have one of their own."""
    return f"{shape.partition.name}@{shape.view.reservation}" if shape.view.reservation else shape.partition.name


def _limit_of(entry: Entry) -> float:
    limit_s = entry[0].limit_s
    return NEVER if limit_s is None else limit_s


def _tasks(job: Job) -> Iterator[int | None]:
    """Yield the task ids of an array that have not started, ascending; None once for a plain job."""
    if job.pending_array is None:
        yield None
        return
    for first, last, step in job.pending_array.ranges:
        yield from range(first, last + 1, step or 1)
