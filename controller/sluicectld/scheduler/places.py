"""Places that one pass keeps for jobs that do not start: on the timeline, beside it, and told as planned starts.

Planned starts and the places behind leaving jobs (preempt.py) are kept the same way; what holds a place also lets go
of it, and after the pass nothing is left but promises.

Invariant: every slot in `slots` is held on the timeline once.
"""

from sluice.model.job import Job

from .backfill import Slot, release, reserve
from .ledger import Ledger
from .limits.licenses import Licenses
from .memory import Scene
from .plan import PlannedStart
from .pools import Booking
from .shapes import Shape
from .snapshot import Snapshot

#: From when, on which nodes, and for which shape.
Kept = tuple[Slot, Shape]


class Places:
    """The places of one pass.  slots: what is kept, planned: what is told of it; both by job id."""

    def __init__(self, scene: Scene, ledger: Ledger) -> None:
        self._timeline = scene.timeline
        self._names = scene.working.names
        self._ledger = ledger
        self.slots: dict[int, Kept] = {}
        self.planned: dict[int, PlannedStart] = {}

    def hold(self, job_id: int, slot: Slot, shape: Shape) -> None:
        """Keep the place from everybody else, on the timeline and beside it."""
        reserve(job_id, slot, shape, self._timeline)
        self._hold_beside(job_id, slot, shape)

    def let_go(self, job_id: int, slot: Slot, shape: Shape) -> None:
        """Undo hold()."""
        release(job_id, slot, shape, self._timeline)
        self._ledger.note_beside(shape, slot.at, slot.parts, is_gone=True)
        if slot.use is not None:
            self._ledger.pools.remove(_booking(job_id, slot, shape))

    def _hold_beside(self, job_id: int, slot: Slot, shape: Shape) -> None:
        self._ledger.note_beside(shape, slot.at, slot.parts)
        if slot.use is not None:
            self._ledger.pools.add(_booking(job_id, slot, shape))

    def keep(self, job_id: int, slot: Slot, shape: Shape) -> None:
        """Hold the place and know it as the job's."""
        self.hold(job_id, slot, shape)
        self.slots[job_id] = (slot, shape)

    def drop(self, job_id: int) -> Kept | None:
        """Let go of the place that is kept for the job; return it."""
        kept = self.slots.pop(job_id, None)
        if kept is not None:
            self.let_go(job_id, *kept)
        return kept

    def restore(self, promises: dict[int, Kept], snapshot: Snapshot) -> None:
        """Take up places that are on the timeline already; let go of those that licenses or limits do not hold."""
        jobs = {job.id: job for job in snapshot.pending if job.id in promises}
        for job_id, (slot, shape) in list(promises.items()):
            promised = snapshot.promised[job_id]
            kept = self.with_use(jobs[job_id], slot, shape, promised.licenses)
            if kept is None:
                release(job_id, slot, shape, self._timeline)
                del promises[job_id]
                continue
            promises[job_id] = (kept, shape)
            self._hold_beside(job_id, kept, shape)
        self.slots.update(promises)

    def with_use(self, job: Job, slot: Slot, shape: Shape, licenses: Licenses) -> Slot | None:
        """Return the place with what it takes beside nodes; None if that can't be had.  licenses: which ones."""
        claimant = self._ledger.claimant_of(job, shape)
        if claimant is None:
            return slot
        use = claimant.use(self._ledger.takes_of(slot.parts), licenses)
        at = max(slot.at, self._timeline.now_at)
        return None if claimant.find_lack(at, use) is not None else Slot(slot.at, slot.parts, use)

    def tell(self, job_id: int, at: float, slot: Slot, shape: Shape) -> None:
        """Tell of the place as a start that is planned for *at*."""
        self.planned[job_id] = PlannedStart(
            at,
            tuple([self._names[part.position] for part in slot.parts]),
            shape.partition.name,
            sum([part.take.charged or part.take.cpus for part in slot.parts]),
            tuple([part.tasks for part in slot.parts]),
            () if slot.use is None else slot.use.licenses,
        )

    def release_all(self) -> None:
        """Take the slots out of the timeline; what is beside it goes with the pass."""
        for job_id, (slot, shape) in self.slots.items():
            release(job_id, slot, shape, self._timeline)


def _booking(job_id: int, slot: Slot, shape: Shape) -> Booking:
    assert slot.use is not None, f"job {job_id} takes nothing beside nodes"
    return Booking(slot.use, slot.at, slot.at + shape.duration_s, job_id)
