"""Who gets a planned start in one pass, and which: as far as the counts of the policy reach.

The walk (decide.py) comes here with each job that does not fit now.  Every bound is a count: jobs looked ahead for,
nodes looked at, planned starts of a queue and of a shape.  Who waits for licenses or below a limit is not counted with
his queue: a user who may run one job at a time takes no planned start from those who wait for nodes.

Invariant: a planned start that was promised before only ever moves earlier.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from sluice.model.job import Job

from .backfill import Slot, find_slot
from .bounds import Bounds
from .claimant import Claimant
from .ledger import Ledger
from .memory import Scene
from .patience import compute_due_at
from .places import Places
from .shapes import Shape
from .snapshot import Policy, Snapshot
from .tracks import NEVER


class Planner:
    """The planned starts of one pass.  focus_id: a job that is planned whatever the bounds are."""

    def __init__(
        self, snapshot: Snapshot, policy: Policy, scene: Scene, ledger: Ledger, places: Places, focus_id: int
    ) -> None:
        self._policy = policy
        self._focus_id = focus_id
        self._working, self._timeline = scene.working, scene.timeline
        self._ledger = ledger
        self._gate = ledger.gate
        self._places = places
        self._now_at = snapshot.now_at
        self._latest_at = snapshot.now_at + policy.backfill_window_s
        self._priorities: Mapping[int, int] = {}
        self.bounds = Bounds(policy, snapshot.now_at)
        #: Promises that were taken back to look for earlier ones, each with how many jobs had started then.
        self._earlier: dict[int, tuple[Slot, int]] = {}
        #: Before when it is of use to plan a job, because it is promised a place in another partition.
        self._before_at: dict[int, float] = {}
        #: Jobs that a planned start was looked for, as the bound counts them.
        self._looked_ahead = 0
        #: Planned jobs of each queue that wait for nodes.
        self._counts: Counter[str] = Counter()

    def begin(self, priorities: Mapping[int, int]) -> None:
        """priorities: by job id, as the queue found them."""
        self._priorities = priorities

    def is_full(self, queue: str) -> bool:
        """Are as many jobs of the queue planned as may be?"""
        return self._counts[queue] >= self._policy.planned_max

    @property
    def is_near(self) -> bool:
        """Is the walk still among the jobs that it looks ahead for?"""
        return self._looked_ahead <= self._policy.backfill_jobs_max

    def plan_first(self, job: Job, shape: Shape, is_beside: bool = False) -> None:
        """Plan the first job of a shape that waits for resources; its twins may be planned after it."""
        if self._policy.is_backfilling:
            shape.is_waiting = True
            shape.may_plan = self._looked_ahead < self._policy.backfill_jobs_max
            self.plan(job, shape, is_beside)

    def may_plan_beside(self, job: Job, shape: Shape) -> bool:
        """May a job that lacks what is on no node still get a planned start, as far as its equals tell?"""
        if job.id == self._focus_id:
            return True
        if self._looked_ahead >= self._policy.backfill_jobs_max or self.is_full(shape.queue):
            return False
        claimant = self._ledger.claimant_of(job, shape)
        return claimant is not None and claimant.may_plan

    def plan(self, job: Job, shape: Shape, is_beside: bool = False) -> None:
        """Give the job a planned start, unless the bounds are reached or nothing is free within the window.

        is_beside: it lacks licenses, or room below a limit, and not only nodes.
        """
        claimant = self._ledger.claimant_of(job, shape)
        # What is found of a job with limits of its own holds for those with the same ones.
        prospect = claimant if claimant is not None and claimant.is_personal else shape
        is_focus = job.id == self._focus_id
        is_known = prospect is not shape and not prospect.may_plan
        if not is_focus and (is_known or not self._gate.may_reserve(job, shape)):
            return
        if self._looked_ahead >= self._policy.backfill_jobs_max or self.is_full(shape.queue) or self._is_tired():
            prospect.may_plan = shape.may_plan = False
        self._looked_ahead += 1
        if job.id in self._places.planned or not (prospect.may_plan or is_focus):
            return
        if not (is_focus or self._may_reserve(job, shape)):
            return
        before_at = self._before_at.get(job.id, NEVER)
        if before_at <= self._now_at:
            return
        slot = self._find(job, shape, claimant, is_beside and prospect.planned_count > 0)
        if before_at < NEVER and (slot is None or slot.at >= before_at):
            return
        if slot is None:
            prospect.may_plan = False
            return
        # Whether nodes are free now as well is no matter: lower jobs may take those, but nothing that is kept for it.
        is_beside = is_beside or (claimant is not None and claimant.find_lack(self._now_at, slot.use) is not None)
        self._places.keep(job.id, slot, shape)
        self.note(job, slot, shape, is_beside)
        prospect.planned_at = slot.at
        for each in (prospect,) if is_beside or prospect is shape else (prospect, shape):
            each.planned_count += 1
            each.may_plan = each.planned_count < self._policy.planned_per_shape_max

    def _find(self, job: Job, shape: Shape, claimant: Claimant | None, is_next: bool) -> Slot | None:
        """Return the job's earliest slot; where it was promised before if it is no better off anywhere else.

        is_next: it waits behind an equal one for what is on no node.
        """
        latest_at, looks_max, due_at = self.find_bounds([(job, shape)])
        if is_next and job.id != self._focus_id and not self._policy.is_predicting:
            latest_at = self._latest_at
        if claimant is not None and not self._policy.keeps_promises:
            due_at = max(due_at, claimant.planned_at)
        slot = find_slot(shape, self._working, self._timeline, latest_at, looks_max, due_at, claimant)
        earlier = self._find_earlier(job)
        if slot is None or (earlier is not None and slot.at >= earlier.at > self._now_at):
            return earlier
        return slot

    def aim_before(self, job: Job, at: float) -> None:
        """Plan the job only if it starts before that: it is promised a place in another partition."""
        self._before_at[job.id] = at

    def stop_aiming(self, job: Job) -> bool:
        """End aim_before(); return whether it was in force."""
        return self._before_at.pop(job.id, None) is not None

    def take_back(self, job: Job, is_alike: bool) -> None:
        """Take an earlier promise back to look for a better one.  is_alike: it is kept if there is none."""
        kept = self._places.drop(job.id)
        assert kept is not None, f"job {job.id} has no promise"
        if is_alike:
            self._earlier[job.id] = kept[0], len(self._ledger.starts)

    def _find_earlier(self, job: Job) -> Slot | None:
        """Return the promise that was taken back, unless tasks of the job's array have started there since."""
        found = self._earlier.get(job.id)
        if found is None:
            return None
        slot, starts = found
        taken = self._ledger.nodes_since(starts)
        if slot.use is not None and taken:
            return None
        return slot if taken.isdisjoint(part.position for part in slot.parts) else None

    def note(self, job: Job, slot: Slot, shape: Shape, is_beside: bool = False) -> None:
        """Make a place that is kept the job's planned start."""
        if not is_beside:
            self._counts[shape.queue] += 1
        self.bounds.note_plan(shape.queue)
        self._places.tell(job.id, slot.at, slot, shape)

    def may_look_ahead(self, jobs: Sequence[tuple[Job, Shape]]) -> bool:
        """May these jobs, which are planned together, still get a start?  Counts them as looked at."""
        self._looked_ahead += len(jobs)
        if any(job.id == self._focus_id for job, _ in jobs):
            return True
        is_far = not self.is_near or self._is_tired()
        return self._policy.is_backfilling and not is_far and all(itertools.starmap(self._may_hold, jobs))

    def find_bounds(self, jobs: Sequence[tuple[Job, Shape]]) -> tuple[float, int | float, float]:
        """Return the latest start that jobs planned together may get, how many nodes may be looked at, and the first.

        The first of a queue is found a start however far it is: without one it could wait for ever.
        """
        policy = self._policy
        is_focus = any(job.id == self._focus_id for job, _ in jobs)
        is_first = policy.is_predicting or not all(self._counts[shape.queue] for _, shape in jobs)
        latest_at = NEVER if is_focus or is_first else self._latest_at
        looks_max = NEVER if is_focus else policy.backfill_node_looks_max
        due_at = max(compute_due_at(job, policy.patience) for job, _ in jobs) if policy.is_predicting else 0.0
        return latest_at, looks_max, due_at

    def _is_tired(self) -> bool:
        return self._timeline.tracks.looks >= self._policy.backfill_node_looks_max

    def _may_hold(self, job: Job, shape: Shape) -> bool:
        return not self.is_full(shape.queue) and self._may_reserve(job, shape)

    def _may_reserve(self, job: Job, shape: Shape) -> bool:
        """Do the bounds of its queue let the job have a planned start?"""
        return self.bounds.may_plan(job, shape.queue, self._priorities.get(job.id, job.priority))
