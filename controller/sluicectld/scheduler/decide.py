"""One pass: walk the queue, start what fits, plan what does not, and say why everything else waits.

A job that fits now starts and its resources leave the working copy at once.  The first jobs that do not fit
get planned starts; lower ones start only where no planned start is delayed.  Without backfill a partition stops at
its first job that does not fit.  Every bound is a count.  What differs between policies stands in Policy.

Invariant: every eligible job is in starts (an array: with all its tasks) or in blockers.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason

from . import explain
from .backfill import Slot, find_slot, release, reserve
from .gangs import Gangs, consider_component
from .levels import Kind, Take
from .limits.gate import Gate
from .limits.licenses import LicensePool
from .limits.partition import find_orphan_blocker
from .memory import Memory, Scene, find_shape, make_shape
from .needs import compute_shape_key
from .plan import Plan, PlannedStart, StartJob
from .promises import keep_promises, restore_promises
from .queue import rank
from .reservation_texts import begin_blocker, find_closed_blocker, outgrown_blocker
from .reservations import OPEN, Book, View, find_window
from .search import Part, find_idle, find_now
from .shapes import Access, Shape, is_user_sensitive
from .shorten import find_place, may_shorten, within_deadline
from .snapshot import Policy, RunningJob, Snapshot
from .standing import Entry
from .switches import relax
from .tail import Tail, is_plain_job
from .tracks import NEVER

DEFAULT_POLICY = Policy()
#: What is told where nobody reads it.
_RESOURCES, _PRIORITY = Blocker(reason=Reason.RESOURCES), Blocker(reason=Reason.PRIORITY)
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
    """The state of one pass; thrown away afterwards."""

    def __init__(self, snapshot: Snapshot, policy: Policy, focus_id: int, scene: Scene) -> None:
        self.focus_id = focus_id
        self.snapshot = snapshot
        self.policy = policy
        self.scene = scene
        self.working = scene.working
        self.timeline = scene.timeline
        self.latest_at = snapshot.now_at + policy.backfill_window_s
        self.licenses = LicensePool(snapshot.licenses_free)
        self.gate = Gate(snapshot, policy)
        self.book = Book(snapshot, policy.backfill_window_s, policy.reservation_overrun_s)
        #: Shapes of jobs that reservations restrict.
        self.restricted: dict[object, Shape] = {}
        self.starts: list[StartJob] = []
        #: What each start takes, and until when, to be undone.
        self.taken: list[tuple[list[tuple[int, Take]], float]] = []
        self.planned: dict[int, PlannedStart] = {}
        self.blockers: dict[int, Blockers] = {}
        #: The first job of each partition that did not fit.
        self.heads: dict[str, int] = {}
        #: Partitions where a job waits for a limit and all below it with it.
        self.stopped: set[str] = set()
        #: Those that started of the jobs that ask for several partitions.
        self.started_ids: set[int] = set()
        #: Heterogeneous jobs, each considered as a whole.
        self.gangs = Gangs(())
        #: What is kept for each planned job.
        self.slots: dict[int, tuple[Slot, Shape]] = {}
        #: Promises that were taken back to look for earlier ones.
        self.earlier: dict[int, Slot] = {}
        #: Tasks started in this pass, by the array's job id.
        self.tasks_started: Counter[int] = Counter()
        #: The same by the array's id, with tasks that are jobs of their own already.
        self.array_starts: Counter[int] = Counter()
        self.looked_ahead = 0
        self.planned_count = 0
        self.has_more = False
        #: The first moment at which a job looks different although nothing happened.
        self.look_again_at: float | None = None
        self.tested = 0
        self.running_by_end: list[RunningJob] | None = None
        self.is_user_sensitive = is_user_sensitive(self.working, snapshot.pending, snapshot.partitions)
        #: Nobody reads what is found out about the jobs that do not start, and nothing but room decides.
        is_shared = bool(snapshot.reservations) or focus_id != 0 or self.is_user_sensitive
        self.is_quiet = policy.is_backfilling and self.gate.is_open and not (policy.is_explaining or is_shared)

    def run(self) -> Plan:
        queue = rank(self.snapshot, self.policy)
        entries = queue.entries
        for job in queue.orphans:
            self.blockers[job.id] = (find_orphan_blocker(job),)
        if self.policy.keeps_promises:
            self.slots = restore_promises(self.scene, self.snapshot, self.policy)
        self.gangs = Gangs(entries)
        self._walk(entries)
        return Plan(
            self.snapshot.version,
            tuple(self.starts),
            self.planned,
            self.blockers,
            self.has_more,
            self.tested,
            len(self.scene.shapes),
            queue.priorities,
            self.look_again_at,
        )

    def _walk(self, entries: list[Entry]) -> None:
        """Consider the entries in their order; behind the planned jobs the shortest first, if so asked."""
        is_tail = False
        index = 0
        while index < len(entries):
            if len(self.starts) >= self.policy.starts_max:
                self._leave_for_next_pass(entries[index:])
                return
            if not is_tail and self.planned_count >= self.policy.planned_max:
                is_tail = True
                if self.policy.is_shortest_first:
                    entries[index:] = sorted(entries[index:], key=_limit_of)
            if is_tail and self.is_quiet and not self.policy.keeps_promises:
                index += self._start_of_tail(entries[index:])
                if index == len(entries):
                    return
            job, partition = entries[index]
            if self.is_quiet and job.id in self.slots and self._stands(job):
                index += 1
                continue
            if job.id not in self.started_ids:
                self._consider(job, partition)
            index += 1

    def _start_of_tail(self, entries: list[Entry]) -> int:
        """Start what fits of the plain jobs at the beginning; return how many entries are done with."""
        tail = Tail(self.scene, self.policy, entries)
        count = len(tail)
        self.tested += count
        started: set[int] = set()
        first = 0
        while (index := tail.find_start(first)) is not None and len(self.starts) < self.policy.starts_max:
            shape = find_shape(self.scene, *entries[index], self.policy)
            parts = find_now(shape, self.working, self.timeline)
            assert parts is not None, "a job that fits has a place"
            self.start(entries[index][0], shape, parts, None)
            started.add(index)
            first = index + 1
        if index is not None:
            count = index
        waiting = [entries[place][0].id for place in range(count) if place not in started]
        self.blockers.update(dict.fromkeys(waiting, (_PRIORITY,)))
        return count

    def undo(self) -> None:
        """Take what this pass added out of the scene."""
        for takes, end_at in self.taken:
            self.timeline.undo_start(takes, end_at)
        if self.policy.keeps_promises:
            keep_promises(self.scene, self.slots, self.planned)
            return
        for job_id, (slot, shape) in self.slots.items():
            release(job_id, slot, shape, self.timeline)

    def _consider(self, job: Job, partition: Partition) -> None:
        self.tested += 1
        if job.is_component:
            consider_component(self, job, partition)
            return
        partition = self.gate.relax(job, partition)
        blockers: Blockers = ()
        starts = len(self.starts)
        own = self._lift_slot(job)
        for view in self.book.views_of(job):
            found = self._consider_view(job, partition, view)
            if found is None:
                self.blockers.pop(job.id, None)
                self.started_ids.add(job.id)
                self._settle_slot(job, own, None)
                return
            # Of magnetic reservations nobody knows who did not ask for them: they are no reason to wait.
            blockers = blockers + found if job.spec.reservation else found
        self._settle_slot(job, own, starts)
        if len(job.spec.partitions) > 1:
            blockers = self.blockers.get(job.id, ()) + blockers
        self.blockers[job.id] = blockers

    def _consider_view(self, job: Job, partition: Partition, view: View) -> Blockers | None:
        """Start or plan the job one way; return what stops it, None if nothing does."""
        shape = self.shape_of(job, partition, view)
        if job.id in self.slots and job.id not in self.planned and self._keeps(job, shape):
            return self._tell_waiting(job, shape)
        blockers = shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            self._note_stop(job, shape)
            # What bars the shape for good is more telling than a limit, that others are ahead of it is not.
            is_barred = blockers is not None and not shape.is_waiting
            return (*(blockers or ()), *limited) if is_barred else (*limited, *(blockers or ()))
        if blockers is None or (shape.is_waiting and may_shorten(self, job)):
            return self._try_start(job, shape)
        return self._wait_on(job, shape)

    def _stands(self, job: Job) -> bool:
        """Does a plain job's promise stand as it is?  Otherwise it may be taken back: the job is to be looked at."""
        slot, shape = self.slots[job.id]
        if slot.at <= self.snapshot.now_at or not (shape.is_plain and is_plain_job(job)):
            return False
        if self.snapshot.is_freed:
            position = slot.parts[0].position
            if self.timeline.take_out_if_earlier(job.id, shape.ask, position, slot.at):
                del self.slots[job.id]
                shape.begin()
                return False
        self.planned[job.id] = self.snapshot.promised[job.id]
        self.blockers[job.id] = (_PRIORITY,)
        return True

    def _keeps(self, job: Job, shape: Shape) -> bool:
        """Does an earlier promise stand as it is?  Otherwise it is taken back: the job is to be looked at again."""
        slot, promised_shape = self.slots[job.id]
        if promised_shape is not shape:
            return False
        if slot.at > self.snapshot.now_at and not self.snapshot.is_freed:
            self.planned[job.id] = self.snapshot.promised[job.id]
            return True
        self.earlier[job.id] = slot
        release(job.id, *self.slots.pop(job.id), self.timeline)
        # What kept its twins from starting, or later, may have been this promise.
        shape.begin()
        return False

    def shape_of(self, job: Job, partition: Partition, view: View) -> Shape:
        if job.spec.switches:
            job = self._relaxed(job)
        job = within_deadline(job, self.snapshot.now_at)
        uid = job.spec.uid if self.is_user_sensitive else None
        if view is OPEN:
            return find_shape(self.scene, job, partition, self.policy, uid)
        key = view.key, compute_shape_key(job, partition.name, -1 if uid is None else uid), id(partition)
        shape = self.restricted.get(key)
        if shape is None:
            shape = self.restricted[key] = self._restricted_shape(job, partition, uid, view)
        return shape

    def _restricted_shape(self, job: Job, partition: Partition, uid: int | None, view: View) -> Shape:
        """Return a shape that sees the cluster as the view does; it lasts for this pass."""
        now_at = self.snapshot.now_at
        window = None if view.windows is None else find_window(view, now_at, job.limit_s)
        shape = make_shape(self.scene, job, partition, self.policy, uid, Access(view, self.book, window))
        if view.blocker is not None:
            shape.blockers = (view.blocker,)
        elif shape.blockers is None and view.windows is not None and (window is None or window.from_at > now_at):
            shape.is_waiting = shape.may_plan = window is not None and self.policy.is_backfilling
            shape.blockers = (begin_blocker(view, window, now_at, self.policy.utc_offset_s),)
        return shape

    def _relaxed(self, job: Job) -> Job:
        wait_max_s = self.policy.switch_wait_max_s if self.working.arrangers else 0.0
        job, until_at = relax(job, self.snapshot.now_at, wait_max_s)
        if until_at is not None:
            self.look_again_at = until_at if self.look_again_at is None else min(self.look_again_at, until_at)
        return job

    def _try_start(self, job: Job, shape: Shape) -> Blockers | None:
        """Start the job, or as many tasks of the array as may start; return what stops it, None if nothing does."""
        if self.is_stopped(shape):
            return (self.priority_blocker(shape),)
        for task_id in itertools.islice(_tasks(job), self.tasks_started[job.id], None):
            blockers = self._find_task_blocker(job, task_id, shape)
            if blockers is not None:
                return blockers
            place = find_place(self, job, shape)
            if place is None:
                return self._block(job, shape) if shape.blockers is None else self._wait_on(job, shape)
            limited = self.gate.find_placed_blockers(
                job, place[0], self.takes_of(place[1]), self.licenses.choose(shape.needs)
            )
            if limited:
                self._note_stop(job, shape)
                return limited
            self.start(job, *place, task_id)
        return None

    def _wait_on(self, job: Job, shape: Shape) -> Blockers | None:
        """Plan a job of a shape that is known not to fit; return what stops it."""
        if self._may_plan(shape) or (job.id == self.focus_id and shape.is_waiting):
            self._plan(job, shape)
        return shape.blockers

    def is_stopped(self, shape: Shape) -> bool:
        """Does nothing start any more in the shape's queue?"""
        name = _queue_name(shape)
        return name in self.stopped or (not self.policy.is_backfilling and name in self.heads)

    def note_head(self, job: Job, shape: Shape) -> None:
        """Remember the first job of a queue that did not fit."""
        self.heads.setdefault(_queue_name(shape), job.id)

    def _find_task_blocker(self, job: Job, task_id: int | None, shape: Shape) -> Blockers | None:
        license_blocker = self.find_license_blocker(shape)
        if license_blocker is not None:
            shape.blockers = (license_blocker,)
            return shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            return limited
        if task_id is None:
            return self._find_throttle_blocker(job) if job.array_task_id is not None else None
        if len(self.starts) >= self.policy.starts_max:
            self.has_more = True
            return (self.next_pass_blocker(),)
        return self._find_throttle_blocker(job)

    def takes_of(self, parts: list[Part]) -> list[tuple[Kind, Take]]:
        kinds = self.working.kinds
        return [(kinds[part.position], part.take) for part in parts]

    def find_license_blocker(self, shape: Shape) -> Blocker | None:
        licenses = self.licenses
        if shape.view.license_closures:
            now_at = self.snapshot.now_at
            until_at = now_at + shape.duration_s
            licenses = LicensePool(self.book.licenses_left(shape.view, licenses.free, now_at, until_at))
        return licenses.find_blocker(shape.needs)

    def _note_stop(self, job: Job, shape: Shape) -> None:
        """Remember a job that a limit keeps from starting, where that stops its queue."""
        if self.policy.stops_at_limits:
            self.stopped.add(_queue_name(shape))
            self.heads.setdefault(_queue_name(shape), job.id)

    def _may_plan(self, shape: Shape) -> bool:
        return shape.may_plan and _queue_name(shape) not in self.stopped

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

    def start(self, job: Job, shape: Shape, parts: list[Part], task_id: int | None) -> None:
        needs = shape.needs
        parts = shape.batch_host_first(parts)
        licenses = self.licenses.take(needs)
        self.gate.add_start(job, shape, self.takes_of(parts), licenses)
        grants = tuple([self.working.grant(part.position, part.take) for part in parts])
        allocation = Allocation(
            grants=grants,
            tasks_per_node=_tasks_per_node(shape, parts),
            is_sharing=needs.sharers_max > 1,
            licenses=licenses,
        )
        self.starts.append(
            StartJob(
                job.id,
                allocation,
                shape.partition.name,
                shape.limit_s,
                task_id,
                needs.is_exclusive,
                shape.view.reservation,
            )
        )
        if shape.view.reservation:
            held = ((grant.node, grant.cpu_count) for grant in grants)
            self.book.note_start(shape.view.reservation, held, licenses)
        takes = [(part.position, part.take) for part in parts]
        end_at = self.snapshot.now_at + shape.duration_s
        self.timeline.start(takes, end_at)
        self.taken.append((takes, end_at))
        self._count_cpus(shape, self.snapshot.now_at, parts)
        if shape.uid is not None:
            for part in parts:
                self.working.note_user(part.position, shape.uid, needs.is_user_exclusive)
        if task_id is not None or job.array_task_id is not None:
            self.array_starts[job.array_job_id or job.id] += 1
        if task_id is not None:
            self.tasks_started[job.id] += 1

    def _count_cpus(self, shape: Shape, from_at: float, parts: list[Part]) -> None:
        for part in parts if shape.is_capped else ():
            use = (from_at, from_at + shape.duration_s, part.take.cpus)
            self.working.partition_cpus.add(shape.partition.name, part.position, use)

    def uncount_cpus(self, shape: Shape, from_at: float, parts: list[Part]) -> None:
        """Undo _count_cpus()."""
        for part in parts if shape.is_capped else ():
            use = (from_at, from_at + shape.duration_s, part.take.cpus)
            self.working.partition_cpus.remove(shape.partition.name, part.position, use)

    def _lift_slot(self, job: Job) -> tuple[Slot, Shape] | None:
        """Take a planned start out while the job is looked at in another partition, where it is not in its own way."""
        if job.id not in self.planned:
            return None
        slot, shape = own = self.slots.pop(job.id)
        release(job.id, slot, shape, self.timeline)
        self.uncount_cpus(shape, slot.at, slot.parts)
        return own

    def _settle_slot(self, job: Job, own: tuple[Slot, Shape] | None, starts: int | None) -> None:
        """Put a planned start back that was lifted, unless the job has started, or tasks of its array where it stood.

        starts: how many there were before it was looked at; None: all of it has started.
        """
        if own is None:
            return
        slot, shape = own
        taken = {position for takes, _ in self.taken[starts:] for position, _ in takes}
        if starts is None or not taken.isdisjoint(part.position for part in slot.parts):
            del self.planned[job.id]
            self.has_more = True
            return
        reserve(job.id, slot, shape, self.timeline)
        self._count_cpus(shape, slot.at, slot.parts)
        self.slots[job.id] = own

    def _block(self, job: Job, shape: Shape) -> Blockers:
        """Settle that the shape does not fit now; return the blockers of this job, the first of its shape."""
        if not self.fits_idle(shape):
            shape.blockers = (self.unavailable_blocker(shape),)
            return shape.blockers
        closed = find_closed_blocker(shape, self.working, self.timeline, self.policy.utc_offset_s)
        if closed is not None:
            shape.blockers = (closed,)
            self._plan_waiting(job, shape)
            return shape.blockers
        self._plan_waiting(job, shape)
        return self._tell_waiting(job, shape)

    def _tell_waiting(self, job: Job, shape: Shape) -> Blockers:
        """Return the blockers of a job that only waits for resources, and settle those of its twins."""
        name = _queue_name(shape)
        is_head = name not in self.heads
        is_near = self.looked_ahead <= self.policy.backfill_jobs_max
        if is_head:
            self.heads[name] = job.id
        resources = (self.resources_blocker(shape),) if is_head or is_near else ()
        shape.blockers = (self.priority_blocker(shape), *resources)
        return resources if is_head else shape.blockers

    def _plan_waiting(self, job: Job, shape: Shape) -> None:
        """Plan the first job of a shape that waits for resources; its twins may be planned after it."""
        if self.policy.is_backfilling:
            shape.is_waiting = True
            shape.may_plan = self.looked_ahead < self.policy.backfill_jobs_max
            self._plan(job, shape)

    def fits_idle(self, shape: Shape) -> bool:
        """Would the usable nodes hold the job if nobody used them?"""
        if shape.idle_seen != self.working.usable_version:
            shape.idle_seen = self.working.usable_version
            shape.fits_idle = find_idle(shape, self.working, shape.candidates) is not None
        return shape.fits_idle

    def unavailable_blocker(self, shape: Shape) -> Blocker:
        required_down = any(not self.working.nodes[each].node.is_usable for each in shape.required)
        if not required_down and find_idle(shape, self.working, shape.configured_candidates()) is not None:
            return explain.down_blocker(shape, self.working)
        if shape.view.positions is not None and not required_down:
            return outgrown_blocker(shape, self.working)
        return explain.unavailable_blocker(shape, self.working)

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
        latest_at, looks_max = self.plan_bounds((job.id,))
        slot = find_slot(shape, self.working, self.timeline, latest_at, looks_max)
        earlier = self.earlier.get(job.id)
        if slot is None or (earlier is not None and slot.at >= earlier.at > self.snapshot.now_at):
            # It is no better off anywhere else: it stays where it was promised.
            slot = earlier
        if slot is None:
            shape.may_plan = False
            return
        reserve(job.id, slot, shape, self.timeline)
        self.keep_slot(job, slot, shape)
        shape.planned_at = slot.at
        shape.planned_count += 1
        shape.may_plan = shape.planned_count < policy.planned_per_shape_max

    def may_look_ahead(self, job_ids: Collection[int]) -> bool:
        """May jobs that are planned together still get a start?  Counts them as looked at."""
        policy = self.policy
        self.looked_ahead += len(job_ids)
        if self.focus_id in job_ids:
            return True
        is_far = self.looked_ahead > policy.backfill_jobs_max or self.planned_count >= policy.planned_max
        return policy.is_backfilling and not is_far and self.timeline.tracks.looks < policy.backfill_node_looks_max

    def plan_bounds(self, job_ids: Collection[int]) -> tuple[float, float]:
        """Return the latest planned start, and how many nodes may be looked at in the pass, for these jobs."""
        is_focus = self.focus_id in job_ids
        return (NEVER, NEVER) if is_focus else (self.latest_at, self.policy.backfill_node_looks_max)

    def keep_slot(self, job: Job, slot: Slot, shape: Shape) -> None:
        """Make a slot that the timeline holds the job's planned start."""
        self._count_cpus(shape, slot.at, slot.parts)
        self.slots[job.id] = (slot, shape)
        self.planned_count += 1
        self.note_planned(job, slot, shape)

    def note_planned(self, job: Job, slot: Slot, shape: Shape) -> None:
        names = self.working.names
        self.planned[job.id] = PlannedStart(
            slot.at,
            tuple([names[part.position] for part in slot.parts]),
            shape.partition.name,
            sum([part.take.charged or part.take.cpus for part in slot.parts]),
            tuple([part.tasks for part in slot.parts]),
        )

    def resources_blocker(self, shape: Shape) -> Blocker:
        if not self.policy.is_explaining:
            return _RESOURCES
        if self.running_by_end is None:
            ending = [job for job in self.snapshot.running if job.expected_end_at is not None]
            self.running_by_end = sorted(ending, key=lambda job: (job.expected_end_at or 0.0, job.job_id))
        end = explain.next_end_text(shape, self.running_by_end, self.snapshot.now_at, self.policy.utc_offset_s)
        has_plans = bool(self.slots)
        funnel = explain.compute_funnel(shape, self.working, has_plans)
        return Blocker(reason=Reason.RESOURCES, text=funnel + end)

    def priority_blocker(self, shape: Shape) -> Blocker:
        if not self.policy.is_explaining:
            return _PRIORITY
        name = shape.partition.name
        inside = f" and reservation {shape.view.reservation!r}" if shape.view.reservation else ""
        head_id = self.heads[_queue_name(shape)]
        return Blocker(reason=Reason.PRIORITY, text=f"behind job {head_id} in partition {name}{inside}")

    def next_pass_blocker(self) -> Blocker:
        return Blocker(reason=Reason.NONE, text=f"this pass has started {len(self.starts)} jobs, its most")

    def _leave_for_next_pass(self, entries: list[Entry]) -> None:
        self.has_more = True
        blockers = (self.next_pass_blocker(),)
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


def _tasks_per_node(shape: Shape, parts: list[Part]) -> tuple[int, ...]:
    """Return tasks by node; a whole node without a number of tasks counts as many as its CPUs allow."""
    needs = shape.needs
    if needs.is_exclusive and not needs.has_task_count and not needs.node_tasks_max:
        return tuple([part.take.cpus // needs.cpus_per_task for part in parts])
    return tuple([part.tasks for part in parts])
