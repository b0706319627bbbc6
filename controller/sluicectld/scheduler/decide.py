"""One pass: walk the queue, start what fits, plan what does not, and say why everything else waits.

A job that fits now starts and its resources leave the working copy at once.  The first jobs that do not fit
get planned starts; lower ones start only where no planned start is delayed.  Without backfill a partition stops at
its first job that does not fit.  Every bound is a count.  What differs between policies stands in Policy.

Invariant: every eligible job is in starts (an array: with all its tasks) or in blockers.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason
from sluice.model.states import JobState

from . import explain, verdicts
from .backfill import Slot, find_slot, release, reserve
from .bounds import Bounds
from .gangs import Gangs, consider_component
from .ledger import Ledger
from .limits.partition import find_orphan_blocker
from .memory import Memory, Scene, find_shape
from .patience import compute_due_at, rank_candidates
from .plan import Plan, PlannedStart
from .preempt import Preemptions
from .promises import keep_promises, restore_promises
from .queue import Queue, rank
from .reservation_texts import find_closed_blocker
from .reservations import View
from .resuming import Resuming, with_suspended
from .search import Part, find_idle, find_now
from .shapes import Shape
from .shaping import Shaper
from .shorten import find_place, may_shorten
from .snapshot import Policy, Snapshot
from .standing import Entry
from .tail import Tail, is_plain_job
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
        #: Heterogeneous jobs, each considered as a whole.
        self.gangs = Gangs(())
        #: What is kept for each planned job.
        self.slots: dict[int, tuple[Slot, Shape]] = {}
        #: Promises that were taken back to look for earlier ones.
        self.earlier: dict[int, Slot] = {}
        self.looked_ahead = 0
        #: Planned jobs of each queue.
        self.plan_counts: Counter[str] = Counter()
        self.bounds = Bounds(policy, snapshot.now_at)
        self.has_more = False
        self.tested = 0
        self._queue = queue
        self.resuming = Resuming(scene)
        self.preemptions = Preemptions(snapshot, policy, scene, self.ledger, self.planned, self.slots)
        self.shaper.own_ids = self.preemptions.waiting_ids
        #: Nobody reads what is found out about the jobs that do not start, and nothing but room decides.
        is_moving = self.preemptions.is_active or bool(snapshot.leaving)
        is_shared = bool(snapshot.reservations) or self.shaper.is_user_sensitive or self.bounds.are_set
        is_seen = policy.is_explaining or focus_id != 0
        self.is_quiet = self.gate.is_open and not (is_moving or is_shared or is_seen)

    @property
    def queue(self) -> Queue:
        if self._queue is None:
            self._queue = rank(self.snapshot, self.policy)
        return self._queue

    def run(self) -> Plan:
        queue = self.queue
        for job in queue.orphans:
            self.blockers[job.id] = (find_orphan_blocker(job),)
        self._walk(self._set_out())
        if self.policy.keeps_promises:
            self._note_next_promise()
        return Plan(
            self.snapshot.version,
            tuple(self.ledger.starts),
            self.planned,
            self.blockers,
            self.has_more,
            self.tested,
            len(self.scene.shapes),
            queue.priorities,
            _earlier(self.shaper.look_again_at, self.preemptions.look_again_at),
            tuple(self.preemptions.chosen),
            tuple(self.resuming.resumed),
        )

    def _keep_places(self, entries: list[Entry]) -> None:
        """Keep the places of those for whom others are going, from everybody else."""
        waiting_ids = self.preemptions.waiting_ids
        for job, partition in entries if waiting_ids else ():
            if job.id in waiting_ids:
                partition = self.gate.relax(job, partition)
                shapes = [self.shaper.find(job, partition, view) for view in self.ledger.book.views_of(job)]
                self.preemptions.keep_place(job, shapes)

    def _set_out(self) -> list[Entry]:
        """Take up what is known before the walk, and return what is to be walked through.

        Known are: which jobs belong together, earlier promises, places that others make free.
        """
        self.gangs = Gangs(self.queue.entries)
        if self.policy.keeps_promises:
            is_user_sensitive = self.shaper.is_user_sensitive
            self.slots.update(restore_promises(self.scene, self.snapshot, self.policy, is_user_sensitive))
            for slot, shape in self.slots.values():
                self.ledger.note_beside(shape, slot.at, slot.parts)
        self.preemptions.begin(self.queue.priorities)
        entries = with_suspended(self.queue.entries, self.snapshot, self.queue.priorities)
        self._keep_places(entries)
        return entries

    def _walk(self, entries: list[Entry]) -> None:
        """Consider the entries in their order, or first those that may be planned and then the rest in another one."""
        policy = self.policy
        if not (policy.is_shortest_first or policy.is_predicting):
            self._walk_through(entries)
            return
        rest: list[Entry] = []
        for place, entry in enumerate(entries):
            if self._has_started_most():
                self._leave_for_next_pass(rest + entries[place:])
                return
            if self._is_full(entry[1].name) and entry[0].state is not JobState.SUSPENDED:
                rest.append(entry)
            else:
                self._consider(*entry)
        if policy.is_predicting:
            rest = rank_candidates(rest, self.snapshot.now_at, self.snapshot.predicted_s, policy.patience)
        else:
            rest.sort(key=_limit_of)
        self._walk_through(rest)

    def _walk_through(self, entries: list[Entry]) -> None:
        index = 0
        while index < len(entries):
            if self._has_started_most():
                self._leave_for_next_pass(entries[index:])
                return
            job, partition = entries[index]
            if not self.policy.is_backfilling and self._is_behind(job, partition):
                self.blockers[job.id] = (verdicts.PRIORITY,)
                index += 1
                continue
            if self.is_quiet and not self.policy.keeps_promises and self._is_full(partition.name):
                done = self._start_of_tail(entries[index:])
                index += done
                if done:
                    continue
            if not (self.is_quiet and job.id in self.slots and self._stands(job)):
                self._consider(job, partition)
            index += 1

    def _is_behind(self, job: Job, partition: Partition) -> bool:
        """Does a plain job only wait behind another of its partition, and nobody reads more of it?"""
        return self.is_quiet and partition.name in self.heads and is_plain_job(job)

    def _is_full(self, queue: str) -> bool:
        """Are as many jobs of the queue planned as may be?"""
        return self.plan_counts[queue] >= self.policy.planned_max

    def _start_of_tail(self, entries: list[Entry]) -> int:
        """Start what fits of the plain jobs at the beginning; return how many entries are done with."""
        tail = Tail(self.scene, self.policy, itertools.takewhile(lambda entry: self._is_full(entry[1].name), entries))
        count = len(tail)
        self.tested += count
        started: set[int] = set()
        first = 0
        while (index := tail.find_start(first)) is not None and not self._has_started_most():
            shape = find_shape(self.scene, *entries[index], self.policy)
            parts = find_now(shape, self.working, self.timeline)
            assert parts is not None, "a job that fits has a place"
            self._start(entries[index][0], shape, parts, None)
            started.add(index)
            first = index + 1
        if index is not None:
            count = index
        waiting = [entries[place][0].id for place in range(count) if place not in started]
        self.blockers.update(dict.fromkeys(waiting, (verdicts.PRIORITY,)))
        return count

    def _note_next_promise(self) -> None:
        """Have a pass when the next promise is due, even if nothing happens until then."""
        for planned in self.planned.values():
            if planned.at > self.snapshot.now_at:
                self.shaper.look_again(planned.at)

    def undo(self) -> None:
        """Take what this pass added out of the scene."""
        if self.policy.keeps_promises:
            self._undo_decisions()
            keep_promises(self.scene, self.slots, self.planned)
        else:
            self.undo_all()

    def undo_all(self) -> None:
        """Take out promises, too."""
        self._undo_decisions()
        for job_id, (slot, shape) in self.slots.items():
            release(job_id, slot, shape, self.timeline)

    def _undo_decisions(self) -> None:
        self.ledger.undo()
        self.preemptions.undo()
        self.resuming.undo()

    def _consider(self, job: Job, partition: Partition) -> None:
        if job.state is JobState.SUSPENDED:
            self.resuming.consider(job)
        elif self.preemptions.keeps_place(job.id):
            starts = len(self.ledger.starts)
            with self.preemptions.aside(job.id, lambda: len(self.ledger.starts) > starts):
                self._consider_views(job, partition)
        elif job.id not in self.started_ids:
            self._consider_views(job, partition)

    def _consider_views(self, job: Job, partition: Partition) -> None:
        self.tested += 1
        if job.is_component:
            consider_component(self, job, partition)
            return
        partition = self.gate.relax(job, partition)
        blockers: Blockers = ()
        lifted, starts = self._lift_slot(job), len(self.ledger.starts)
        for view in self.ledger.book.views_of(job):
            found = self._consider_view(job, partition, view)
            if found is None:
                self._forget_waiting(job)
                return
            # Of magnetic reservations nobody knows who did not ask for them: they are no reason to wait.
            blockers = blockers + found if job.spec.reservation else found
        if lifted is not None and not self.preemptions.keeps_place(job.id):
            self._settle_slot(job, *lifted, starts)
        if len(job.spec.partitions) > 1:
            blockers = self.blockers.get(job.id, ()) + explain.of_partition(blockers, partition.name)
        self.blockers[job.id] = blockers

    def _consider_view(self, job: Job, partition: Partition, view: View) -> Blockers | None:
        """Start or plan the job one way; return what stops it, None if nothing does."""
        shape = self.shaper.find(job, partition, view)
        if job.id in self.slots and job.id not in self.planned and self._keeps(job, shape):
            return self._preempt(job, shape, self._tell_waiting(job, shape))
        blockers = shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            self._note_stop(job, shape)
            # What bars the shape for good is more telling than a limit, that others are ahead of it is not.
            is_barred = blockers is not None and not shape.is_waiting
            return (*(blockers or ()), *limited) if is_barred else (*limited, *(blockers or ()))
        if blockers is None or (shape.is_waiting and may_shorten(self, job)):
            blockers = self._try_start(job, shape)
        else:
            blockers = self._wait_on(job, shape)
        return self._preempt(job, shape, blockers)

    def _preempt(self, job: Job, shape: Shape, blockers: Blockers | None) -> Blockers | None:
        """Make room for the job unless it starts, or has to wait for others of its queue."""
        if blockers is None or not self.preemptions.is_active:
            return blockers
        name = _queue_name(shape)
        is_behind = name in self.stopped or (not self.policy.is_backfilling and self.heads.get(name) != job.id)
        return blockers if is_behind else self.preemptions.consider(job, shape, blockers)

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
        self.blockers[job.id] = (verdicts.PRIORITY,)
        return True

    def _keeps(self, job: Job, shape: Shape) -> bool:
        """Does an earlier promise stand as it is?  Otherwise it is taken back: the job is to be looked at again."""
        slot, promised_shape = self.slots[job.id]
        if promised_shape.partition.name != shape.partition.name:
            return False
        if slot.at > self.snapshot.now_at and not self.snapshot.is_freed and promised_shape is shape:
            self.planned[job.id] = self.snapshot.promised[job.id]
            # Its twins that have no promise yet do not start either, but get one.
            shape.is_waiting = shape.may_plan = True
            return True
        if promised_shape is shape:
            self.earlier[job.id] = slot
        self.drop_slot(job)
        # What kept its twins from starting, or later, may have been this promise.
        shape.begin()
        return False

    def _forget_waiting(self, job: Job) -> None:
        """Take back what was found while the job waited in another of its partitions: all of it has started."""
        self.blockers.pop(job.id, None)
        self.started_ids.add(job.id)
        self._forget_slot(job)

    def _try_start(self, job: Job, shape: Shape) -> Blockers | None:
        """Start the job, or as many tasks of the array as may start; return what stops it, None if nothing does."""
        closed = self.find_queue_blocker(job, shape)
        if closed is not None:
            return (closed,)
        if self.is_candidate(shape):
            self.note_candidate(job, shape)
        for task_id in itertools.islice(tasks_of(job), self.ledger.tasks_started[job.id], None):
            blockers = self._find_task_blocker(job, task_id, shape)
            if blockers is not None:
                if blockers[0].reason is Reason.JOB_ARRAY_TASK_LIMIT:
                    # Its next task waits for one that runs, not for the place kept for it in another partition.
                    self._forget_slot(job)
                return blockers
            place = find_place(self, job, shape)
            if place is None:
                return self._block(job, shape) if shape.blockers is None else self._wait_on(job, shape)
            limited = self.ledger.find_placed_blockers(job, *place)
            if limited:
                self._note_stop(job, shape)
                return limited
            self._start(job, *place, task_id)
        return None

    def _wait_on(self, job: Job, shape: Shape) -> Blockers | None:
        """Plan a job of a shape that is known not to fit; return what stops it."""
        if self._may_plan(shape) or (job.id == self.focus_id and shape.is_waiting):
            self._plan(job, shape)
        return shape.blockers

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

    def find_queue_blocker(self, job: Job, shape: Shape) -> Blocker | None:
        """Return that the job has to wait behind another one of its queue, whatever room there is."""
        name = _queue_name(shape)
        if name in self.stopped or (not self.policy.is_backfilling and name in self.heads):
            return self._priority_blocker(shape)
        if self.is_candidate(shape):
            return self.bounds.find_candidate_blocker(job, name)
        return None

    def is_candidate(self, shape: Shape) -> bool:
        """Would its jobs go ahead of one that waits, where it is counted how many do?"""
        return self.bounds.are_set and _queue_name(shape) in self.heads

    def note_candidate(self, job: Job, shape: Shape) -> None:
        """Count a job that was looked at behind one that waits."""
        self.bounds.note_candidate(job, _queue_name(shape))

    def note_head(self, job: Job, shape: Shape) -> None:
        """Remember the first job of a queue that did not fit."""
        self.heads.setdefault(_queue_name(shape), job.id)

    def _note_stop(self, job: Job, shape: Shape) -> None:
        """Remember a job that a limit keeps from starting, where that stops its queue."""
        if self.policy.stops_at_limits:
            self.stopped.add(_queue_name(shape))
            self.note_head(job, shape)

    def _may_plan(self, shape: Shape) -> bool:
        return shape.may_plan and _queue_name(shape) not in self.stopped

    def note_start(self, shape: Shape) -> None:
        """Count a start, if it is ahead of a job that waits."""
        if _queue_name(shape) in self.heads:
            self.bounds.note_start()

    def _start(self, job: Job, shape: Shape, parts: list[Part], task_id: int | None) -> None:
        self.note_start(shape)
        self.ledger.start(job, shape, parts, task_id)

    def _forget_slot(self, job: Job) -> None:
        """Give up the planned start, if any, of a job that has started, or waits for something else than room."""
        had_slot = self.drop_slot(job) is not None
        if self.planned.pop(job.id, None) is not None or had_slot:
            self.has_more = True

    def _lift_slot(self, job: Job) -> tuple[Slot, Shape] | None:
        """Take a planned start out while the job is looked at in another partition, where it is not in its own way."""
        return self.drop_slot(job) if job.id in self.planned else None

    def _settle_slot(self, job: Job, slot: Slot, shape: Shape, starts: int) -> None:
        """Put a planned start back that was lifted, unless it was given up, or tasks of the job's array stand there.

        starts: how many there were before it was looked at.
        """
        if job.id not in self.planned:
            return
        if self.ledger.nodes_since(starts).isdisjoint(part.position for part in slot.parts):
            self.hold(job, slot, shape)
            self.slots[job.id] = (slot, shape)
        else:
            self._forget_slot(job)

    def hold(self, job: Job, slot: Slot, shape: Shape) -> None:
        """Keep the place for the job, on the timeline and beside it."""
        reserve(job.id, slot, shape, self.timeline)
        self.ledger.note_beside(shape, slot.at, slot.parts)

    def let_go(self, job: Job, slot: Slot, shape: Shape) -> None:
        """Undo hold()."""
        release(job.id, slot, shape, self.timeline)
        self.ledger.note_beside(shape, slot.at, slot.parts, is_gone=True)

    def drop_slot(self, job: Job) -> tuple[Slot, Shape] | None:
        """Let go of the place that is kept for the job; return it."""
        kept = self.slots.pop(job.id, None)
        if kept is not None:
            self.let_go(job, *kept)
        return kept

    def _block(self, job: Job, shape: Shape) -> Blockers:
        """Settle that the shape does not fit now; return the blockers of this job, the first of its shape."""
        if not self.fits_idle(shape):
            shape.blockers = (verdicts.unavailable(shape, self.working),)
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
        resources = (self.resources_blocker(job, shape),) if is_head or is_near else ()
        shape.blockers = (self._priority_blocker(shape), *resources)
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

    def _plan(self, job: Job, shape: Shape) -> None:
        """Give the job a planned start, unless the bounds are reached or nothing is free within the window."""
        policy = self.policy
        is_focus = job.id == self.focus_id
        if not is_focus and not self.gate.may_reserve(job, shape):
            return
        queue = _queue_name(shape)
        is_full = self.looked_ahead >= policy.backfill_jobs_max or self._is_full(queue)
        if is_full or self.timeline.tracks.looks >= policy.backfill_node_looks_max:
            shape.may_plan = False
        self.looked_ahead += 1
        if job.id in self.planned or not (shape.may_plan or is_focus):
            return
        if not (is_focus or self.bounds.may_plan(job, queue, self.queue.priorities.get(job.id, job.priority))):
            return
        slot = find_slot(shape, self.working, self.timeline, *self.plan_bounds([(job, shape)]))
        earlier = self.earlier.get(job.id)
        if slot is None or (earlier is not None and slot.at >= earlier.at > self.snapshot.now_at):
            # It is no better off anywhere else: it stays where it was promised.
            slot = earlier
        if slot is None:
            shape.may_plan = False
            return
        self.hold(job, slot, shape)
        self.keep_slot(job, slot, shape)
        shape.planned_at = slot.at
        shape.planned_count += 1
        shape.may_plan = shape.planned_count < policy.planned_per_shape_max

    def may_look_ahead(self, jobs: Sequence[tuple[Job, Shape]]) -> bool:
        """May these jobs, which are planned together, still get a start?  Counts them as looked at."""
        policy = self.policy
        self.looked_ahead += len(jobs)
        if any(job.id == self.focus_id for job, _ in jobs):
            return True
        is_far = self.looked_ahead > policy.backfill_jobs_max or self.timeline.tracks.looks >= (
            policy.backfill_node_looks_max
        )
        return policy.is_backfilling and not is_far and all(itertools.starmap(self._may_hold, jobs))

    def _may_hold(self, job: Job, shape: Shape) -> bool:
        """Do the bounds of its queue let the job have a planned start?"""
        queue, priority = _queue_name(shape), self.queue.priorities.get(job.id, job.priority)
        return not self._is_full(queue) and self.bounds.may_plan(job, queue, priority)

    def plan_bounds(self, jobs: Sequence[tuple[Job, Shape]]) -> tuple[float, int | float, float]:
        """Return the latest start that jobs planned together may get, how many nodes may be looked at, and the first.

        The first of a queue is found a start however far it is: without one it could wait for ever.
        """
        policy = self.policy
        is_focus = any(job.id == self.focus_id for job, _ in jobs)
        is_first = policy.is_predicting or not all(self.plan_counts[_queue_name(shape)] for _, shape in jobs)
        latest_at = NEVER if is_focus or is_first else self.latest_at
        looks_max = NEVER if is_focus else policy.backfill_node_looks_max
        due_at = max(compute_due_at(job, policy.patience) for job, _ in jobs) if policy.is_predicting else 0.0
        return latest_at, looks_max, due_at

    def keep_slot(self, job: Job, slot: Slot, shape: Shape) -> None:
        """Make a place that is held the job's planned start."""
        queue = _queue_name(shape)
        self.slots[job.id] = (slot, shape)
        self.plan_counts[queue] += 1
        self.bounds.note_plan(queue)
        names = self.working.names
        self.planned[job.id] = PlannedStart(
            slot.at,
            tuple([names[part.position] for part in slot.parts]),
            shape.partition.name,
            sum([part.take.charged or part.take.cpus for part in slot.parts]),
            tuple([part.tasks for part in slot.parts]),
        )

    def resources_blocker(self, job: Job, shape: Shape) -> Blocker:
        if not self.policy.is_explaining:
            return verdicts.RESOURCES
        return self.verdicts.resources(shape, has_plans=len(self.slots) > (job.id in self.slots))

    def _priority_blocker(self, shape: Shape) -> Blocker:
        if not self.policy.is_explaining:
            return verdicts.PRIORITY
        return verdicts.behind(self.heads[_queue_name(shape)], shape)

    def _leave_for_next_pass(self, entries: list[Entry]) -> None:
        self.has_more = True
        blockers = (verdicts.next_pass(len(self.ledger.starts)),)
        for job_id in self.gangs.unfinished():
            self.blockers.setdefault(job_id, blockers)
        for job, partition in entries:
            if job.id in self.started_ids or job.state is JobState.SUSPENDED:
                continue
            if job.id == self.focus_id:
                self._consider(job, partition)
            else:
                self.blockers.setdefault(job.id, blockers)


def _queue_name(shape: Shape) -> str:
    """Return what names the queue that the shape's jobs stand in: those of a reservation have one of their own."""
    return f"{shape.partition.name}@{shape.view.reservation}" if shape.view.reservation else shape.partition.name


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _limit_of(entry: Entry) -> float:
    limit_s = entry[0].limit_s
    return NEVER if limit_s is None else limit_s


def tasks_of(job: Job) -> Iterator[int | None]:
    """Yield the task ids of an array that have not started, ascending; None once for a plain job."""
    if job.pending_array is None:
        yield None
        return
    for first, last, step in job.pending_array.ranges:
        yield from range(first, last + 1, step or 1)
