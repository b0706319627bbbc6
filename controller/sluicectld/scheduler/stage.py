"""A stage: the scene of a snapshot, on which passes are tried one after the other for a question.

Each pass may be over a variant: other jobs wait, or partitions are open that are not.  The nodes, and what runs on
them, are the snapshot's.  With a memory the next question, of a snapshot not much later, finds the stage nearly set.

Invariant: nothing that a pass takes is left when the next one begins, or when the scene itself is looked at.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.partition import Partition

from .decide import Pass, tasks_of
from .memory import Memory, Scene, renew
from .plan import Plan
from .promises import restore_promise
from .queue import Queue, find_turn, has_fixed_order
from .reservations import OPEN
from .shapes import Shape
from .shorten import find_place
from .snapshot import Policy, Snapshot
from .walk import walk


class Rehearsal(Pass):
    """A pass that stops at one job's turn, to see what would become of it with one request or another."""

    def run_before(self, job_id: int) -> None:
        """Run the pass up to the job's turn in the queue, and no further."""
        ahead = itertools.takewhile(lambda entry: entry[0].id != job_id, self._set_out())
        walk(self, list(ahead))

    def recall(self, job_id: int, plan: Plan) -> bool:
        """Stand where run_before() would, by what a plan of this state says; return whether it says enough.

        Nothing started then, so that what stands before the job is the planned starts of jobs before it.
        """
        if not (self._is_plain() and _is_settled(plan, self.snapshot)):
            return False
        for job, partition in self.queue.entries[: find_turn(self.queue, job_id)]:
            planned = plan.planned.get(job.id)
            if planned is not None and planned.partition == partition.name:
                shape = self.shaper.find(job, partition, OPEN)
                found = None if shape.is_level_dependent else restore_promise(self.scene, shape, planned)
                slot = found and self.places.with_use(job, *found, planned.licenses)
                if found is None or slot is None or job.is_component:
                    return False
                self.places.keep(job.id, slot, shape)
        return True

    def _is_plain(self) -> bool:
        """Is all that stands before a job in the queue a planned start or nothing?"""
        policy = self.policy
        is_ordered = policy.is_backfilling and has_fixed_order(policy) and not policy.stops_at_limits
        is_bound = policy.keeps_promises or self.planner.bounds.are_set
        is_moving = self.preemptions.is_active or bool(self.snapshot.leaving or self.snapshot.reservations)
        return is_ordered and not (is_bound or is_moving)

    def would_start(self, job: Job) -> bool:
        """Would the job start at this point of the pass?  Nothing is taken for it."""
        if self.has_started_most():
            return False
        known = self.snapshot.partitions
        asked = [known[name] for name in job.spec.partitions or (job.partition,) if name in known]
        return any(self._has_room(job, self.gate.relax(job, partition)) for partition in asked)

    def _has_room(self, job: Job, partition: Partition) -> bool:
        shapes = [self.shaper.make(job, partition, view) for view in self.ledger.book.views_of(job)]
        return any(self._fits(job, shape) for shape in shapes if shape.blockers is None)

    def _fits(self, job: Job, shape: Shape) -> bool:
        """Make the checks of the walk for the job, or for the first task of it."""
        if self.heads.find_blocker(job, shape) or self._find_task_blocker(job, next(tasks_of(job)), shape):
            return False
        place = find_place(self, job, shape)
        return place is not None and not self.ledger.find_placed_blockers(job, *place)


def _is_settled(plan: Plan, snapshot: Snapshot) -> bool:
    """Is the plan one of this very state, and is it to change nothing?"""
    is_acting = plan.starts or plan.preemptions or plan.resumes or plan.has_more
    return plan.version == snapshot.version and not is_acting


class Stage:
    """One scene, and the pass that stands on it, if any."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene) -> None:
        self.snapshot = snapshot
        self.policy = policy
        #: For passes of which only the starts are looked at.
        self.quiet_policy = replace(policy, is_explaining=False)
        self._scene = scene
        self._standing: Pass | None = None

    @property
    def scene(self) -> Scene:
        """The scene as the snapshot has it."""
        self.clear()
        return self._scene

    def decide(self, snapshot: Snapshot, policy: Policy, focus_id: int = 0, queue: Queue | None = None) -> Plan:
        """Return the plan of a whole pass."""
        self._standing = Pass(snapshot, policy, focus_id, self.scene, queue)
        plan = self._standing.run()
        self.clear()
        return plan

    def stop_before(self, job_id: int, snapshot: Snapshot, queue: Queue, plan: Plan | None = None) -> Rehearsal:
        """Return a pass that has come to the job's turn; it stands until another one is tried.

        plan: of a pass over this state, which spares this one if it says enough.
        """
        if plan is not None:
            self._standing = stopped = Rehearsal(snapshot, self.quiet_policy, 0, self.scene, queue)
            if stopped.recall(job_id, plan):
                return stopped
        self._standing = stopped = Rehearsal(snapshot, self.quiet_policy, 0, self.scene, queue)
        stopped.run_before(job_id)
        return stopped

    def clear(self) -> None:
        """Take down the pass that stands there."""
        if self._standing is not None:
            self._standing.undo_all()
            self._standing = None
            renew(self._scene, self.snapshot)


@contextmanager
def set_stage(snapshot: Snapshot, policy: Policy, memory: Memory | None = None) -> Iterator[Stage]:
    """Give a stage.  memory: of earlier ones; it forgets the scene if the question fails."""
    memory = memory or Memory()
    stage = Stage(snapshot, policy, memory.enter(snapshot, policy))
    yield stage
    memory.leave(stage.scene)
