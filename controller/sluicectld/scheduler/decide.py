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
from sluice.model.reason import Blocker, Reason
from sluice.model.states import JobState

from . import explain, verdicts
from .backfill import Slot
from .departures import lead_id_of
from .gangs import NO_GANGS, Gangs, consider_component
from .heads import Heads
from .ledger import Ledger
from .limits.partition import find_orphan_blocker
from .memory import Memory, Scene
from .places import Kept, Places
from .plan import Plan
from .planner import Planner
from .preempt import Preemptions
from .preempt_attempt import Way
from .promises import keep_promises, restore_promises
from .queue import Queue, rank
from .ranking import waits_for_others
from .reservation_texts import find_closed_blocker
from .reservations import View
from .resuming import Resuming, with_suspended
from .search import Part, find_idle
from .shapes import Shape
from .shaping import Shaper
from .shorten import find_place, may_shorten
from .snapshot import Policy, Snapshot
from .standing import Entry
from .verdicts import Verdicts
from .walk import walk

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
        self.ledger = Ledger(snapshot, policy, scene)
        self.gate = self.ledger.gate
        self.shaper = Shaper(snapshot, policy, scene, self.ledger.book)
        self.verdicts = Verdicts(snapshot, policy, self.working, self.timeline)
        self.places = Places(scene, self.ledger)
        self.planner = Planner(snapshot, policy, scene, self.ledger, self.places, focus_id)
        self.blockers: dict[int, Blockers] = {}
        self.heads = Heads(policy, self.planner.bounds)
        #: Those that started of the jobs that ask for several partitions.
        self.started_ids: set[int] = set()
        #: Heterogeneous jobs, each considered as a whole.
        self.gangs = NO_GANGS
        #: Room came back since the promises were made, so that they may move ahead.
        self.is_freed = snapshot.is_freed
        self.has_more = False
        self.tested = 0
        self._queue = queue
        self._begun_before = scene.begun
        self.resuming = Resuming(scene, snapshot)
        self.preemptions = Preemptions(snapshot, policy, scene, self.ledger, self.places)
        self.shaper.own_ids = self.preemptions.kept.waiting_ids
        is_moving = self.preemptions.is_active or bool(snapshot.leaving)
        is_shared = bool(snapshot.reservations) or self.shaper.is_user_sensitive or self.planner.bounds.are_set
        #: Nothing but room and the order of the queue decides.
        self.is_simple = self.gate.is_open and not (is_moving or is_shared)
        #: Besides, nobody reads what is found out about the jobs that do not start.
        self.is_quiet = self.is_simple and not (policy.is_explaining or focus_id)

    @property
    def queue(self) -> Queue:
        if self._queue is None:
            self._queue = rank(self.snapshot, self.policy, self.scene.lineup)
        return self._queue

    def run(self) -> Plan:
        queue = self.queue
        for job in queue.orphans:
            self.blockers[job.id] = (find_orphan_blocker(job),)
        walk(self, self._set_out())
        if self.policy.keeps_promises:
            self._pass_promises_on()
        return Plan(
            self.snapshot.version,
            tuple(self.ledger.starts),
            self.places.planned,
            self.blockers,
            self.has_more,
            self.tested,
            self.scene.begun - self._begun_before,
            queue.priorities,
            _earlier(self.shaper.look_again_at, self.preemptions.look_again_at),
            tuple(self.preemptions.chosen),
            tuple(self.resuming.resumed),
            self.preemptions.exempt,
        )

    def _keep_places(self, entries: list[Entry]) -> None:
        """Keep the places of those for whom others are going, from everybody else."""
        waiting_ids = self.preemptions.kept.waiting_ids
        ways: dict[int, dict[int, list[Way]]] = {}
        for job, partition in entries if waiting_ids else ():
            if job.id in waiting_ids:
                ways.setdefault(lead_id_of(job), {}).setdefault(job.id, []).extend(self.ways_of(job, partition))
        for components in ways.values():
            self.preemptions.kept.take_up([components[job_id] for job_id in sorted(components)])

    def ways_of(self, job: Job, partition: Partition) -> Iterator[Way]:
        """Yield how the job may run in a partition, as each of its reservations shows it."""
        relaxed = self.gate.relax(job, partition)
        for view in self.ledger.book.views_of(job):
            yield job, self.shaper.find(job, relaxed, view)

    def _set_out(self) -> list[Entry]:
        """Take up what is known before the walk, and return what is to be walked through.

        Known are: which jobs belong together, earlier promises, places that others make free.
        """
        self.gangs = Gangs(self.queue.entries)
        if self.policy.keeps_promises:
            promises = restore_promises(self.scene, self.snapshot, self.ways_of, self.is_simple)
            self.places.restore(promises, self.snapshot)
            # A job that waits no more, or for something else, has left room as one that ended has.
            self.is_freed = self.snapshot.is_freed or len(promises) < len(self.snapshot.promised)
        self.planner.begin(self.queue.priorities)
        self.preemptions.begin(self.queue.priorities)
        entries = with_suspended(self.queue.entries, self.snapshot, self.queue.priorities)
        self._keep_places(entries)
        return entries

    def _pass_promises_on(self) -> None:
        """Let promises stand to whom the pass did not come, and have one when the next is due whatever happens."""
        if not self.places.slots.keys() <= self.places.planned.keys():
            for job_id, promised in self.snapshot.promised.items():
                if job_id in self.places.slots and job_id not in self.places.planned:
                    self.places.tell_again(job_id, promised)
        for planned in self.places.planned.values():
            if planned.at > self.snapshot.now_at:
                self.shaper.look_again(planned.at)

    def undo(self) -> None:
        """Take what this pass added out of the scene."""
        if self.policy.keeps_promises:
            self._undo_decisions()
            keep_promises(self.scene, self.places.slots, self.places.planned)
        else:
            self.undo_all()

    def undo_all(self) -> None:
        """Take out promises, too."""
        self._undo_decisions()
        self.places.release_all()

    def _undo_decisions(self) -> None:
        self.ledger.undo()
        self.preemptions.kept.undo()
        self.resuming.undo()

    def consider(self, job: Job, partition: Partition) -> None:
        if job.state is JobState.SUSPENDED:
            self.resuming.consider(job)
        elif self.preemptions.kept.has(job.id) and not job.is_component:
            starts = len(self.ledger.starts)
            with self.preemptions.kept.aside((job.id,), lambda: len(self.ledger.starts) > starts):
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
        lifted = self._lift(job, partition)
        starts = len(self.ledger.starts)
        for view in self.ledger.book.views_of(job):
            found = self._consider_view(job, partition, view)
            if found is None:
                self._forget_waiting(job)
                self.has_more = self.has_more or lifted is not None
                return
            # Of magnetic reservations nobody knows who did not ask for them: they are no reason to wait.
            blockers = blockers + found if job.spec.reservation else found
        if lifted is not None and not self.preemptions.kept.has(job.id):
            self._settle_slot(job, *lifted, starts)
        if len(job.spec.partitions) > 1:
            blockers = self.blockers.get(job.id, ()) + explain.of_partition(blockers, partition.name)
        self.blockers[job.id] = blockers

    def _consider_view(self, job: Job, partition: Partition, view: View) -> Blockers | None:
        """Start or plan the job one way; return what stops it, None if nothing does."""
        shape = self.shaper.find(job, partition, view)
        if job.id in self.places.slots and job.id not in self.places.planned and self._keeps(job, shape):
            return self._preempt(job, shape, self._tell_promised(job, shape))
        blockers = shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            # What bars the shape for good is more telling than a limit, that others are ahead of it is not.
            is_barred = blockers is not None and not shape.is_waiting
            if not is_barred and not self.heads.is_stopped(shape):
                self._plan_beside(job, shape, limited)
            self.heads.note_stop(job, shape)
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
        is_behind = self.heads.is_stopped(shape) or not (self.policy.is_backfilling or self.heads.is_first(job, shape))
        return blockers if is_behind else self.preemptions.consider(job, shape, blockers)

    def _keeps(self, job: Job, shape: Shape) -> bool:
        """Does an earlier promise stand as it is?  Otherwise it is taken back: the job is to be looked at again."""
        slot, promised_shape = self.places.slots[job.id]
        if promised_shape.partition.name != shape.partition.name:
            return False
        if slot.at > self.snapshot.now_at and not self.is_freed and promised_shape is shape:
            self.places.tell_again(job.id, self.snapshot.promised[job.id])
            if not self._is_personal(job, shape):
                # Its twins that have no promise yet do not start either, but get one.
                shape.is_waiting = shape.may_plan = True
            return True
        self.planner.take_back(job, is_alike=promised_shape is shape)
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
        closed = self.heads.find_blocker(job, shape)
        if closed is not None:
            return (closed,)
        if self.heads.is_candidate(shape):
            self.heads.note_candidate(job, shape)
        for task_id in itertools.islice(tasks_of(job), self.ledger.tasks_started[job.id], None):
            blockers = self._find_task_blocker(job, task_id, shape)
            if blockers is not None:
                if blockers[0].reason is Reason.JOB_ARRAY_TASK_LIMIT:
                    # Its next task waits for one that runs, not for the place kept for it in another partition.
                    self._forget_slot(job)
                self._plan_beside(job, shape, blockers)
                return blockers
            place = find_place(self, job, shape)
            if place is None:
                return self._block(job, shape) if shape.blockers is None else self._wait_on(job, shape)
            limited = self.ledger.find_placed_blockers(job, *place)
            if limited:
                return self._wait_placed(job, shape, limited)
            self.start(job, *place, task_id)
        return None

    def _wait_placed(self, job: Job, shape: Shape, limited: Blockers) -> Blockers:
        """Plan a job that has room on nodes, but not beside them; return what stops it."""
        if limited[0].reason is Reason.LICENSES:
            # They are kept from its twins, too.
            shape.blockers = limited
        self._plan_beside(job, shape, limited)
        if limited[0].reason is not Reason.LICENSES:
            self.heads.note_stop(job, shape)
        return limited

    def _plan_beside(self, job: Job, shape: Shape, blockers: Blockers) -> None:
        """Plan a job that waits for licenses, or below a limit: both come back as others end."""
        if not self.policy.is_backfilling or not waits_for_others(blockers[0]):
            return
        if not self.planner.may_plan_beside(job, shape) or not self.fits_idle(shape):
            return
        if blockers[0].reason is Reason.LICENSES:
            self.planner.plan_first(job, shape, is_beside=True)
        else:
            self.planner.plan(job, shape, is_beside=True)

    def _is_personal(self, job: Job, shape: Shape) -> bool:
        """Do limits stand against the job that its twins need not have against them?"""
        claimant = self.ledger.claimant_of(job, shape)
        return claimant is not None and claimant.is_personal

    def _tell_promised(self, job: Job, shape: Shape) -> Blockers:
        """Return the blockers of a job that waits for the start that it was promised."""
        found = self.gate.find_blockers(job, shape)
        lacking = self.ledger.find_license_blocker(shape)
        if lacking is not None:
            found = (*found, lacking)
        if not found:
            return self._tell_waiting(job, shape)
        if not self._is_personal(job, shape):
            shape.blockers = found
        return found

    def _wait_on(self, job: Job, shape: Shape) -> Blockers | None:
        """Plan a job of a shape that is known not to fit; return what stops it."""
        blockers = shape.blockers
        if self._may_plan(shape) or (job.id == self.focus_id and shape.is_waiting):
            self.planner.plan(job, shape, bool(blockers and waits_for_others(blockers[0])))
        return blockers

    def _find_task_blocker(self, job: Job, task_id: int | None, shape: Shape) -> Blockers | None:
        lacking = self.ledger.find_license_blocker(shape)
        if lacking is not None:
            shape.blockers = (lacking,)
            return shape.blockers
        limited = self.gate.find_blockers(job, shape)
        if limited:
            return limited
        if task_id is not None and self.has_started_most():
            self.has_more = True
            return (verdicts.next_pass(len(self.ledger.starts)),)
        is_of_array = task_id is not None or job.array_task_id is not None
        throttled = self.ledger.find_throttle_blocker(job) if is_of_array else None
        return None if throttled is None else (throttled,)

    def has_started_most(self) -> bool:
        return len(self.ledger.starts) >= self.policy.starts_max

    def _may_plan(self, shape: Shape) -> bool:
        return shape.may_plan and not self.heads.is_stopped(shape)

    def start(self, job: Job, shape: Shape, parts: list[Part], task_id: int | None) -> None:
        self.heads.note_start(shape)
        self.ledger.start(job, shape, parts, task_id)

    def _forget_slot(self, job: Job) -> None:
        """Give up the planned start, if any, of a job that has started, or waits for something else than room."""
        had_slot = self.places.drop(job.id) is not None
        if self.places.planned.pop(job.id, None) is not None or had_slot:
            self.has_more = True

    def _lift(self, job: Job, partition: Partition) -> Kept | None:
        """Put the job's planned start in another partition aside: it is not to be in its own way."""
        kept = self.places.slots.get(job.id)
        if kept is None:
            return None
        if job.id not in self.places.planned:
            slot, shape = kept
            if shape.partition.name == partition.name:
                return None
            is_due = slot.at <= self.snapshot.now_at
            self.planner.aim_before(job, slot.at if self.is_freed or is_due else self.snapshot.now_at)
        return self.places.drop(job.id)

    def _settle_slot(self, job: Job, slot: Slot, shape: Shape, starts: int) -> None:
        """Put a planned start back that was lifted, unless it was given up, or tasks of the job's array stand there.

        starts: how many there were before it was looked at.
        """
        is_promise = self.planner.stop_aiming(job)
        if job.id in self.places.slots or not (is_promise or job.id in self.places.planned):
            return
        taken = self.ledger.nodes_since(starts)
        is_whole = slot.use is None or not taken
        if is_whole and taken.isdisjoint(part.position for part in slot.parts):
            self.places.keep(job.id, slot, shape)
        else:
            self._forget_slot(job)

    def _block(self, job: Job, shape: Shape) -> Blockers:
        """Settle that the shape does not fit now; return the blockers of this job, the first of its shape."""
        if not self.fits_idle(shape):
            shape.blockers = (verdicts.unavailable(shape, self.working),)
            return shape.blockers
        closed = find_closed_blocker(shape, self.working, self.timeline, self.policy.utc_offset_s)
        if closed is not None:
            shape.blockers = (closed,)
            self.planner.plan_first(job, shape)
            return shape.blockers
        self.planner.plan_first(job, shape)
        return self._tell_waiting(job, shape)

    def _tell_waiting(self, job: Job, shape: Shape) -> Blockers:
        """Return the blockers of a job that only waits for resources, and settle those of its twins."""
        is_head = not self.heads.has(shape.queue)
        self.heads.note(job, shape)
        resources = (self.resources_blocker(job, shape),) if is_head or self.planner.is_near else ()
        shape.blockers = (self.heads.tell_behind(shape), *resources)
        return resources if is_head else shape.blockers

    def fits_idle(self, shape: Shape) -> bool:
        """Would the usable nodes hold the job if nobody used them?"""
        if shape.idle_seen != self.working.usable_version:
            shape.idle_seen = self.working.usable_version
            shape.fits_idle = find_idle(shape, self.working, shape.candidates) is not None
        return shape.fits_idle

    def resources_blocker(self, job: Job, shape: Shape) -> Blocker:
        if not self.policy.is_explaining:
            return verdicts.RESOURCES
        return self.verdicts.resources(shape, has_plans=len(self.places.slots) > (job.id in self.places.slots))


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def tasks_of(job: Job) -> Iterator[int | None]:
    """Yield the task ids of an array that have not started, ascending; None once for a plain job."""
    if job.pending_array is None:
        yield None
        return
    for first, last, step in job.pending_array.ranges:
        yield from range(first, last + 1, step or 1)
