"""What a pass hands out, counted everywhere at once: nodes and their CPUs, licenses, limits, reservations, throttles.

The walk (decide.py) decides who starts where; here it is written down, and here the walk asks whether what is not on
nodes is left: licenses and tasks of an array.

Invariant: whatever start() takes out of the timeline, undo() puts back; undo_last() puts back all that start() took
but what the working copy says of the nodes.
"""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sluice.model.allocation import Allocation
from sluice.model.job import Job
from sluice.model.reason import Blocker, Reason

from .claimant import Claimant
from .guests import Stay
from .lack_texts import kept_blocker
from .levels import Kind, Take
from .limits.book import Member
from .limits.gate import Gate
from .limits.licenses import LicensePool, Licenses, options_of
from .memory import Scene
from .needs import Needs
from .plan import StartJob
from .pools import Booking, Pools
from .reservations import Book
from .search import Part
from .shapes import Shape
from .snapshot import Policy, Snapshot


class Ledger:
    """The books of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._working = scene.working
        self._timeline = scene.timeline
        self._guests = scene.guests
        self.licenses = LicensePool(snapshot.licenses_free)
        self.gate = Gate(snapshot, policy)
        self._pools: Pools | None = None
        self._claimants: dict[tuple[Member | None, Shape], Claimant] = {}
        self.book = Book(snapshot, policy.backfill_window_s, policy.reservation_overrun_s)
        self.starts: list[StartJob] = []
        #: What each start takes, and until when, to be undone.
        self._taken: list[tuple[list[tuple[int, Take]], float]] = []
        #: What it takes of pools; None for nothing.
        self._bookings: list[Booking | None] = []
        #: Tasks started in this pass, by the array's job id.
        self.tasks_started: Counter[int] = Counter()
        #: The same by the array's id, with tasks that are jobs of their own already.
        self._array_starts: Counter[int] = Counter()

    def start(self, job: Job, shape: Shape, parts: list[Part], task_id: int | None) -> None:
        """Start the job, or one task of it, on these parts."""
        parts = shape.batch_host_first(parts)
        licenses = self._take_beside(job, shape, parts)
        allocation = Allocation(
            grants=tuple([self._working.grant(part.position, part.take) for part in parts]),
            tasks_per_node=_tasks_per_node(shape, parts),
            is_sharing=shape.needs.sharers_max > 1,
            licenses=licenses,
        )
        reservation = shape.view.reservation
        is_exclusive = shape.needs.is_exclusive
        self.starts.append(
            StartJob(job.id, allocation, shape.partition.name, shape.limit_s, task_id, is_exclusive, reservation)
        )
        if reservation:
            held = ((grant.node, grant.cpu_count) for grant in allocation.grants)
            self.book.note_start(reservation, held, licenses)
        self._occupy(shape, parts)
        if task_id is not None or job.array_task_id is not None:
            self._array_starts[job.array_job_id or job.id] += 1
        if task_id is not None:
            self.tasks_started[job.id] += 1

    def _occupy(self, shape: Shape, parts: list[Part]) -> None:
        now_at = self._snapshot.now_at
        takes = [(part.position, part.take) for part in parts]
        end_at = now_at + shape.duration_s
        self._timeline.start(takes, end_at)
        self._taken.append((takes, end_at))
        self.note_beside(shape, now_at, parts)
        if shape.uid is not None:
            for part in parts:
                self._working.note_user(part.position, shape.uid, shape.needs.is_user_exclusive)

    @property
    def pools(self) -> Pools:
        """Licenses and limits over time, made when somebody asks."""
        if self._pools is None:
            self._pools = Pools(self._snapshot, self._policy, self.gate.book)
        return self._pools

    def _take_beside(self, job: Job, shape: Shape, parts: list[Part]) -> Licenses:
        """Take what the job has that is on no node; return its licenses."""
        claimant = self.claimant_of(job, shape)
        if claimant is None:
            self._bookings.append(None)
            return ()
        needs, now_at = shape.needs, self._snapshot.now_at
        licenses = self._settle(job, shape, parts, False)[0] if needs.license_choices else needs.licenses
        self.licenses.take(licenses)
        takes = self.takes_of(parts)
        booking = Booking(claimant.use(takes, licenses), now_at, now_at + shape.duration_s)
        self._bookings.append(booking)
        self.pools.add(booking)
        self.gate.add_start(job, shape, takes, licenses)
        return licenses

    def claimant_of(self, job: Job, shape: Shape) -> Claimant | None:
        """Return the job as it stands before the pools; None if it takes nothing of any."""
        needs = shape.needs
        if self.gate.is_open and not (needs.licenses or needs.license_choices):
            return None
        key = self.gate.find_member(job, shape), shape
        claimant = self._claimants.get(key)
        if claimant is None:
            claimant = self._claimants[key] = Claimant(self.pools, self.gate, job, shape)
        return claimant

    def note_beside(self, shape: Shape, from_at: float, parts: list[Part], is_gone: bool = False) -> None:
        """Note what a started or planned job has beside its resources: CPUs of its partition, and its user's place.

        is_gone: take it back.
        """
        until_at = from_at + shape.duration_s
        cpus, guests = self._working.partition_cpus, self._guests
        for part in parts:
            if shape.is_capped:
                use = (from_at, until_at, part.take.cpus)
                (cpus.remove if is_gone else cpus.add)(shape.partition.name, part.position, use)
            if guests is not None and shape.uid is not None:
                stay = Stay(shape.uid, from_at, until_at, shape.needs.is_user_exclusive)
                (guests.remove if is_gone else guests.add)(part.position, stay)

    @contextmanager
    def noted(self, shape: Shape, parts: list[Part], licenses: Licenses) -> Iterator[None]:
        """Note meanwhile what a job would have beside its resources, and what it would hold of a reservation."""
        now_at, names = self._snapshot.now_at, self._working.names
        held = [(names[part.position], part.take.cpus) for part in parts] if shape.view.reservation else []
        self.note_beside(shape, now_at, parts)
        self.book.note_start(shape.view.reservation, held, licenses if held else ())
        yield
        self.book.note_start(shape.view.reservation, held, licenses if held else (), is_gone=True)
        self.note_beside(shape, now_at, parts, is_gone=True)

    def undo_last(self, job: Job, shape: Shape, parts: list[Part]) -> None:
        """Undo the last start(), which was of this job, as if there had been none; nodes are the working copy's."""
        takes, end_at = self._taken.pop()
        self._timeline.undo_start(takes, end_at)
        booking = self._bookings.pop()
        if booking is not None:
            self.pools.remove(booking)
        self.note_beside(shape, self._snapshot.now_at, parts, is_gone=True)
        start = self.starts.pop()
        allocation = start.allocation
        self.licenses.put_back(allocation.licenses)
        self.gate.undo_start(job, shape, self.takes_of(parts), allocation.licenses)
        if start.reservation:
            held = ((grant.node, grant.cpu_count) for grant in allocation.grants)
            self.book.note_start(start.reservation, held, allocation.licenses, is_gone=True)
        if start.task_id is not None or job.array_task_id is not None:
            self._array_starts[job.array_job_id or job.id] -= 1
        if start.task_id is not None:
            self.tasks_started[job.id] -= 1

    def nodes_since(self, count: int) -> set[int]:
        """Return the positions of the nodes that were taken after the first starts, so many of them."""
        return {position for takes, _ in self._taken[count:] for position, _ in takes}

    def undo(self) -> None:
        """Take the starts out of the timeline; the working copy comes back with the next snapshot."""
        for takes, end_at in self._taken:
            self._timeline.undo_start(takes, end_at)

    def find_license_blocker(self, shape: Shape, needs: Needs | None = None) -> Blocker | None:
        """Return which licenses are short now for a job of the shape.  needs: a part of the shape's."""
        needs = needs or shape.needs
        if not (needs.licenses or needs.license_choices):
            return None
        return self._licenses_for(shape).find_blocker(needs)

    def _licenses_for(self, shape: Shape) -> LicensePool:
        """Return what is free now, without what reservations keep from jobs of the shape."""
        if not shape.view.license_closures:
            return self.licenses
        now_at = self._snapshot.now_at
        soon_at = math.nextafter(now_at, math.inf)
        return LicensePool(self.book.licenses_left(shape.view, self.licenses.free, now_at, soon_at))

    def find_throttle_blocker(self, job: Job) -> Blocker | None:
        """Return that as many tasks of the job's array run as may run at a time."""
        # A task that was requeued or changed alone counts with its array.
        throttle = job.pending_array.throttle if job.pending_array else job.spec.array_throttle
        if not throttle:
            return None
        array_id = job.array_job_id or job.id
        running = self._snapshot.running_tasks.get(array_id, 0) + self._array_starts[array_id]
        if running < throttle:
            return None
        return Blocker(reason=Reason.JOB_ARRAY_TASK_LIMIT, text=f"{running} of at most {throttle} tasks run")

    def find_placed_blockers(
        self, job: Job, shape: Shape, parts: list[Part], is_lasting: bool = True
    ) -> tuple[Blocker, ...]:
        """Return the limits that keep it from starting where it was placed.

        is_lasting: False while starts are tried that may be taken back.
        """
        return () if self.claimant_of(job, shape) is None else self._settle(job, shape, parts, is_lasting)[1]

    def _settle(
        self, job: Job, shape: Shape, parts: list[Part], is_lasting: bool
    ) -> tuple[Licenses, tuple[Blocker, ...]]:
        """Return the licenses with which it may start where it was placed; if there are none, what is against it."""
        options, free = options_of(shape.needs), self._licenses_for(shape)
        takes = self.takes_of(parts)
        blockers: tuple[Blocker, ...] = ()
        for licenses in options:
            if len(options) > 1 and not free.holds(licenses):
                continue
            is_barred = is_lasting and len(options) == 1
            blockers = self.gate.find_placed_blockers(job, shape, takes, licenses, is_barred)
            blockers = blockers or self._find_kept(job, shape, takes, licenses)
            if not blockers:
                return licenses, ()
        return (), blockers

    def _find_kept(
        self, job: Job, shape: Shape, takes: list[tuple[Kind, Take]], licenses: Licenses
    ) -> tuple[Blocker, ...]:
        """Return what of licenses and limits is kept for others while it would run."""
        claimant = self.claimant_of(job, shape)
        if claimant is None or not (self.pools.has_plans or shape.view.license_closures):
            return ()
        now_at = self._snapshot.now_at
        lack = claimant.find_lack(now_at, claimant.use(takes, licenses))
        if lack is None:
            return ()
        if not self._policy.is_explaining:
            return (Blocker(reason=Reason.LICENSES if lack.rule is None else lack.rule.reason),)
        used = self.licenses.free.get(lack.pool.license, 0)
        if lack.rule is not None:
            used = self.gate.find_used(lack.rule)
        interval = now_at, now_at + shape.duration_s
        return (kept_blocker(lack, used, self.pools, interval, self._policy.utc_offset_s),)

    def takes_of(self, parts: list[Part]) -> list[tuple[Kind, Take]]:
        """Return what each part takes, as limits count it."""
        kinds = self._working.kinds
        return [(kinds[part.position], part.take) for part in parts]


def _tasks_per_node(shape: Shape, parts: list[Part]) -> tuple[int, ...]:
    """Return tasks by node; a whole node without a number of tasks counts as many as its CPUs allow."""
    needs = shape.needs
    if needs.is_exclusive and not needs.has_task_count and not needs.node_tasks_max:
        return tuple([part.take.cpus // needs.cpus_per_task for part in parts])
    return tuple([part.tasks for part in parts])
