"""How a job stands in each of its partitions and reservations, judged from the snapshot as if all else were passed.

A pass stops at the first thing that keeps a job from starting; here every check is made: the partition itself, who may
use it, limits, licenses, the array's throttle, reservations, and the room on the nodes.  Only whose turn it is comes
from the last pass.

Invariant: the checks are the pass's own; what is added is who holds the missing part.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from sluice.model.explanation import FunnelStep, Outlook
from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason

from . import demands, explain, funnel, marks, sharers, verdicts
from .census import Census
from .holders import Holders, find_holders
from .ledger import Ledger
from .limits.partition import find_partition_blocker
from .plan import Plan, PlannedStart
from .ranking import is_limit, rank_blockers, waits_for_others
from .reservation_texts import find_closed_blocker
from .reservations import View
from .search import Part, find_idle, find_now
from .shapes import Shape
from .shaping import Shaper
from .stage import Stage

#: What is judged here from the snapshot; a pass's word on it may be older.
_JUDGED_HERE = frozenset(
    {
        Reason.NONE,
        Reason.PARTITION_DOWN,
        Reason.PARTITION_INACTIVE,
        Reason.PARTITION_NODE_LIMIT,
        Reason.PARTITION_TIME_LIMIT,
        Reason.ACCOUNT_NOT_ALLOWED,
        Reason.QOS_NOT_ALLOWED,
        Reason.INVALID_ACCOUNT,
        Reason.INVALID_QOS,
        Reason.MAX_MEM_PER_LIMIT,
        Reason.LICENSES,
        Reason.JOB_ARRAY_TASK_LIMIT,
        Reason.BAD_CONSTRAINTS,
        Reason.REQ_NODE_NOT_AVAIL,
        Reason.RESERVATION,
        Reason.RESERVATION_INVALID,
        Reason.RESOURCES,
    }
)


class Judge:
    """Judges jobs by one scene on which nothing stands.  jobs: those that will be asked about."""

    def __init__(self, stage: Stage, jobs: Sequence[Job]) -> None:
        self._stage = stage
        self._scene = stage.scene
        self._working = self._scene.working
        self._timeline = self._scene.timeline
        self._snapshot = stage.snapshot
        self._clock = (stage.snapshot.now_at, stage.policy.utc_offset_s)
        self._ledger = Ledger(stage.snapshot, stage.policy, self._scene)
        asked = replace(stage.snapshot, pending=tuple(jobs))
        self._shaper = Shaper(asked, stage.policy, self._scene, self._ledger.book)
        self._census = Census(self._working)

    def judge(self, job: Job, partition: Partition, plan: Plan, others: Mapping[int, Job]) -> list[Outlook]:
        """Return how the job stands in one of its partitions: an outlook for each reservation that it names.

        plan: the last one that knows the job.  others: jobs of its array.
        """
        self._stage.clear()
        views = self._ledger.book.views_of(job)
        # Into magnetic reservations it comes unasked: that it does not is no news.
        asked = views if job.spec.reservation else views[-1:]
        relaxed = self._ledger.gate.relax(job, partition)
        return [self._judge_view(job, relaxed, view, plan, others) for view in asked]

    def _judge_view(self, job: Job, partition: Partition, view: View, plan: Plan, others: Mapping[int, Job]) -> Outlook:
        shape = self._shaper.make(job, partition, view)
        found = [*_partition_blockers(shape), *self._ledger.gate.find_blockers(job, shape)]
        found += self._shared_blockers(job, shape, others)
        barred = self._shaper.find_view_blocker(shape)
        outlook = Outlook(
            partition=partition.name, needs=demands.describe_needs(shape.needs), reservation=view.reservation
        )
        if barred is not None:
            found.append(barred)
        else:
            outlook = self._judge_room(job, shape, plan, outlook)
        told = {blocker.reason for blocker in found}
        room = [blocker for blocker in outlook.blockers if blocker.reason not in told]
        if not room:
            outlook = replace(outlook, steps=())
        if not (found or room) and plan.version == self._snapshot.version:
            # Only the pass knows what is free but kept for others.
            found = [each for each in plan.blockers.get(job.id, ()) if _is_kept_beside(each, partition)]
        blockers: tuple[Blocker, ...] = (*found, *room, *_of_pass(job, plan, partition))
        if len(job.spec.partitions) > 1:
            blockers = explain.of_partition(blockers, partition.name)
        return replace(outlook, blockers=rank_blockers(blockers))

    def _shared_blockers(self, job: Job, shape: Shape, others: Mapping[int, Job]) -> list[Blocker]:
        """Return what is short of the things that no node has: licenses, and the array's throttle."""
        needs, found = shape.needs, []
        parts = [replace(needs, licenses=(each,)) for each in needs.licenses] if needs.licenses else [needs]
        for part in parts:
            blocker = self._ledger.find_license_blocker(shape, part)
            if blocker is not None:
                names = [name for name, _ in part.licenses or part.license_choices]
                holders = sharers.describe_license_holders(names, self._snapshot.running, *self._clock)
                found.append(replace(blocker, text=blocker.text + holders))
        throttled = self._ledger.find_throttle_blocker(job)
        if throttled is not None:
            tasks = sharers.describe_tasks(job.array_job_id or job.id, others, *self._clock)
            found.append(replace(throttled, text=throttled.text + tasks))
        return found

    def _judge_room(self, job: Job, shape: Shape, plan: Plan, outlook: Outlook) -> Outlook:
        """Return the outlook with the funnel and what the nodes lack."""
        # A pass over this very state has made sure already that idle nodes would hold it.
        is_sure = plan.version == self._snapshot.version and _waits_for_room(job, plan, outlook.partition)
        if not is_sure and find_idle(shape, self._working, shape.candidates) is None:
            return replace(outlook, steps=self._steps(shape), blockers=(verdicts.unavailable(shape, self._working),))
        parts = None
        if self._census.could_hold(shape):
            parts = find_now(shape, self._working, self._timeline)
        if parts is not None:
            return self._judge_fitting(job, shape, plan, outlook, parts)
        closed = find_closed_blocker(shape, self._working, self._timeline, self._clock[1])
        steps = self._steps(shape)
        if closed is not None:
            return replace(outlook, steps=steps, blockers=(closed,))
        holders = find_holders(shape, self._scene, self._snapshot)
        return self._with_resources(replace(outlook, steps=steps), holders)

    def _judge_fitting(self, job: Job, shape: Shape, plan: Plan, outlook: Outlook, parts: list[Part]) -> Outlook:
        """Return the outlook of a job that would start here and now if nothing were planned."""
        limited = self._ledger.find_placed_blockers(job, shape, parts)
        if limited:
            return replace(outlook, blockers=limited)
        kept = self._find_kept(job, shape, plan)
        step = self._kept_step(shape, kept) if kept else None
        is_known = job.id in plan.blockers
        is_kept = _waits_for_room(job, plan, outlook.partition) if is_known else _is_short(step, shape)
        if step is None or not is_kept:
            return outlook
        steps = (*self._steps(shape, fits=True), step)
        return self._with_resources(replace(outlook, steps=steps, kept_for=tuple(kept)), Holders())

    def _steps(self, shape: Shape, fits: bool = False) -> tuple[FunnelStep, ...]:
        return funnel.compute_steps(shape, self._census, *self._clock, fits)

    def _with_resources(self, outlook: Outlook, holders: Holders) -> Outlook:
        waits = sharers.describe_holders(holders, *self._clock)
        text = funnel.write_steps(outlook.steps, outlook.needs) + (f"; waits for {waits}" if waits else "")
        return replace(
            outlook,
            blockers=(Blocker(reason=Reason.RESOURCES, text=text),),
            holders=holders.named,
            holders_left_off=holders.left_off,
        )

    def _find_kept(self, job: Job, shape: Shape, plan: Plan) -> dict[int, PlannedStart]:
        """Return the planned starts before the job in the queue that begin before it would end."""
        until_at = self._snapshot.now_at + shape.duration_s
        names = set(shape.partition.nodes)
        found = {}
        for job_id, planned in plan.planned.items():
            if job_id == job.id:
                break
            if planned.at < until_at and not names.isdisjoint(planned.nodes):
                found[job_id] = planned
        return found

    def _kept_step(self, shape: Shape, kept: Mapping[int, PlannedStart]) -> FunnelStep:
        names = {name for planned in kept.values() for name in planned.nodes}
        free = marks.find_free(shape, self._working, self._clock[0])
        left = sum(1 for position in free if self._working.names[position] not in names)
        lost = sharers.describe_planned(kept, *self._clock)
        return FunnelStep(nodes=left, demand="not kept for planned starts", lost=lost)


def is_judged_here(reason: Reason) -> bool:
    """Is it found out from the snapshot, whatever a pass said before?"""
    return reason in _JUDGED_HERE or is_limit(reason)


def _partition_blockers(shape: Shape) -> list[Blocker]:
    """Return everything in the partition itself that stands against the job: each is lifted to see the next."""
    found: list[Blocker] = []
    partition = shape.partition
    while (blocker := find_partition_blocker(shape.needs, shape.limit_s, partition)) is not None:
        found.append(blocker)
        if blocker.reason in (Reason.PARTITION_DOWN, Reason.PARTITION_INACTIVE):
            partition = replace(partition, state="UP")
        elif blocker.reason is Reason.PARTITION_TIME_LIMIT:
            partition = replace(partition, max_limit_s=None)
        else:
            break
    return found


def _is_kept_beside(blocker: Blocker, partition: Partition) -> bool:
    """Is it about licenses or limits, as the job finds them in the partition?"""
    return waits_for_others(blocker) and blocker.partition in ("", partition.name)


def _is_short(step: FunnelStep | None, shape: Shape) -> bool:
    """Are fewer nodes left than the request needs?"""
    return step is not None and step.nodes < shape.needs.nodes_min


def _of_pass(job: Job, plan: Plan, partition: Partition) -> Iterable[Blocker]:
    """Return what only a pass knows: whose turn it is."""
    told = plan.blockers.get(job.id, ())
    return [each for each in told if not is_judged_here(each.reason) and each.partition in ("", partition.name)]


def _waits_for_room(job: Job, plan: Plan, partition: str) -> bool:
    """Did the pass find that only free resources are missing there?"""
    told = plan.blockers.get(job.id, ())
    return any(each.reason is Reason.RESOURCES and each.partition in ("", partition) for each in told)
