"""Places that are kept for jobs while others make room for them: in the pass that chose the victims, and while they go.

Nothing is remembered from pass to pass: the victims' records say for whom they go, and where that one is to start.

Invariant: of a heterogeneous job the places of all components are kept, or none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.reason import Blocker

from .backfill import Slot
from .departures import departures_by_job, lead_id_of
from .ledger import Ledger
from .memory import Scene
from .places import Places
from .preempt_attempt import Components, Way
from .preempt_texts import held_blocker
from .search import Part, find_at
from .shapes import Shape
from .snapshot import Policy, RunningJob, Snapshot

Licenses = tuple[tuple[str, int], ...]


class Place(msgspec.Struct, frozen=True):
    """What is kept for a job from now on."""

    slot: Slot
    shape: Shape
    licenses: Licenses
    #: Why it does not start yet.
    blocker: Blocker


class KeptPlaces:
    """The places of one pass, by job id."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene, ledger: Ledger, places: Places) -> None:
        self._now_at = snapshot.now_at
        self._utc_offset_s = policy.utc_offset_s
        self._scene = scene
        self._ledger = ledger
        self._licenses = ledger.licenses
        self._places = places
        self._kept: dict[int, Place] = {}
        #: Who makes room or has made it, by the job for which they do; a heterogeneous one is named by its leader.
        self.departures: dict[int, list[RunningJob]] = departures_by_job(snapshot)
        #: Pending jobs for which others are going, or have gone.
        self.waiting_ids = frozenset(
            job.id for job in (snapshot.pending if self.departures else ()) if lead_id_of(job) in self.departures
        )

    def has(self, job_id: int) -> bool:
        return job_id in self._kept

    def find_blocker(self, job_id: int) -> Blocker | None:
        """Return why a job waits whose place is kept."""
        place = self._kept.get(job_id)
        return None if place is None else place.blocker

    def find_blockers(self, job_ids: Sequence[int]) -> dict[int, tuple[Blocker, ...]]:
        """Return the same for those whose places are kept."""
        return {job_id: (self._kept[job_id].blocker,) for job_id in job_ids if job_id in self._kept}

    def take_up(self, components: Components) -> None:
        """Keep the places of a job for which others are going.  components: its ways, or those of each component.

        Where a place can't be had any more (a node went down) nothing is kept: it is decided about anew.
        """
        leaving = self.departures[lead_id_of(components[0][0][0])]
        records = [each.job.preemption for each in leaving if each.job and each.job.preemption]
        names = {room.job_id: room.nodes for room in records[0].rooms}
        at = max(self._now_at, *(record.ends_at for record in records))
        if len(names) != len(components):
            return
        # A start that was promised to it earlier is this very place, or gives way to it.
        promised = [(ways[0][0].id, self._places.drop(ways[0][0].id)) for ways in components]
        if not self._keep_all(components, names, leaving, at):
            for job_id, slot in promised:
                if slot is not None:
                    self._places.keep(job_id, *slot)

    def _keep_all(
        self, components: Components, names: Mapping[int, Sequence[str]], leaving: list[RunningJob], at: float
    ) -> bool:
        taken: list[int] = []
        for ways in components:
            job_id = ways[0][0].id
            found = self._find_on(ways, names.get(job_id, ()))
            if found is None:
                for other in taken:
                    self.drop(other)
                return False
            blocker = held_blocker(leaving, names[job_id], self._now_at, self._utc_offset_s)
            self.keep(ways[0][0], *found, blocker, at)
            taken.append(job_id)
        return True

    def _find_on(self, ways: Sequence[Way], names: Sequence[str]) -> tuple[list[Part], Shape] | None:
        """Return the place on exactly these nodes, in the first way in which it can be had."""
        working, timeline = self._scene.working, self._scene.timeline
        for _, shape in ways:
            needs = replace(shape.needs, required_nodes=tuple(names), nodes_max=len(names))
            if len(names) < needs.nodes_min or shape.partition_blocker is not None:
                continue
            bound = Shape(needs, shape.partition, shape.limit_s, working, timeline, shape.uid, access=shape.access)
            bound.guests = shape.guests
            parts = find_at(bound, working, timeline, timeline.now_at)
            if parts is not None:
                return parts, shape
        return None

    def keep(self, job: Job, parts: list[Part], shape: Shape, blocker: Blocker, at: float) -> None:
        """Keep the place, and tell of it as a start that is planned for *at*."""
        licenses = shape.needs.licenses or shape.needs.license_choices[:1]
        claimant = self._ledger.claimant_of(job, shape)
        use = None if claimant is None else claimant.use(self._ledger.takes_of(parts), licenses)
        place = self._kept[job.id] = Place(Slot(self._now_at, parts, use), shape, licenses, blocker)
        self._put(job.id, place)
        self._places.tell(job.id, at, place.slot, shape)

    def drop(self, job_id: int) -> None:
        """Undo keep()."""
        self._lift(job_id, self._kept.pop(job_id))
        self._places.planned.pop(job_id, None)

    def _put(self, job_id: int, place: Place) -> None:
        self._places.hold(job_id, place.slot, place.shape)
        for name, count in place.licenses:
            self._licenses.free[name] = self._licenses.free.get(name, 0) - count

    def _lift(self, job_id: int, place: Place) -> None:
        self._places.let_go(job_id, place.slot, place.shape)
        for name, count in place.licenses:
            self._licenses.free[name] += count

    @contextmanager
    def aside(self, job_ids: Sequence[int], has_started: Callable[[], bool]) -> Iterator[None]:
        """Put the places aside while their job is considered.  has_started: asked afterwards; nothing is kept then."""
        kept = [(job_id, self._kept[job_id]) for job_id in job_ids if job_id in self._kept]
        for job_id, place in kept:
            self._lift(job_id, place)
        yield
        is_over = bool(kept) and has_started()
        for job_id, place in kept:
            if is_over:
                del self._kept[job_id]
                self._places.planned.pop(job_id, None)
            else:
                self._put(job_id, place)

    def undo(self) -> None:
        """Take out of the timeline what the pass has put in."""
        for job_id, place in self._kept.items():
            self._lift(job_id, place)
