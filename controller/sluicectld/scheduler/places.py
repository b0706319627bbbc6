"""Places that one pass keeps for jobs that do not start: on the timeline, beside it, and told as planned starts.

Planned starts and the places behind leaving jobs (preempt.py) are kept the same way; what holds a place also lets go
of it, and after the pass nothing is left but promises.

Invariant: every slot in `slots` is held on the timeline once.
"""

from .backfill import Slot, release, reserve
from .ledger import Ledger
from .memory import Scene
from .plan import PlannedStart
from .shapes import Shape

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
        self._ledger.note_beside(shape, slot.at, slot.parts)

    def let_go(self, job_id: int, slot: Slot, shape: Shape) -> None:
        """Undo hold()."""
        release(job_id, slot, shape, self._timeline)
        self._ledger.note_beside(shape, slot.at, slot.parts, is_gone=True)

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

    def restore(self, promises: dict[int, Kept]) -> None:
        """Take up places that are on the timeline already."""
        self.slots.update(promises)
        for slot, shape in promises.values():
            self._ledger.note_beside(shape, slot.at, slot.parts)

    def tell(self, job_id: int, at: float, slot: Slot, shape: Shape) -> None:
        """Tell of the place as a start that is planned for *at*."""
        self.planned[job_id] = PlannedStart(
            at,
            tuple([self._names[part.position] for part in slot.parts]),
            shape.partition.name,
            sum([part.take.charged or part.take.cpus for part in slot.parts]),
            tuple([part.tasks for part in slot.parts]),
        )

    def release_all(self) -> None:
        """Take the slots out of the timeline; what is beside it goes with the pass."""
        for job_id, (slot, shape) in self.slots.items():
            release(job_id, slot, shape, self._timeline)
