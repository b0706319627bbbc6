"""Preemption in one pass: who makes room for whom, and whose place is kept meanwhile.

A job that fits nowhere now gets the cheapest set of victims whose end lets it start (preempt_choice.py), by the same
search over what would be free then (preempt_search.py).  Its place is kept from everybody else from that moment on: in
this pass, and in every later one while its victims are going.

Invariant: nothing is preempted for a job that would not start then, nor while its place is kept already.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from sluice.model.job import Job
from sluice.model.preemption import PreemptMode
from sluice.model.reason import Blocker, Reason

from .backfill import Slot
from .departures import departures_by_job, is_going
from .ledger import Ledger
from .limits.licenses import LicensePool
from .memory import Scene
from .places import Places
from .plan import PreemptJob
from .preempt_choice import choose_victims
from .preempt_rules import Rights, Victim
from .preempt_search import Leaver, Situation, make_leaver
from .preempt_texts import chosen_blocker, exempt_blocker, held_blocker
from .search import Part, find_at
from .shapes import Shape
from .snapshot import Policy, Snapshot

#: Jobs for which victims are searched in one pass at most.
_SEARCHES_MAX = 100
#: What the end of others can help against; licenses only where they may be reclaimed.
_MAY_HELP = frozenset({Reason.RESOURCES, Reason.PRIORITY, Reason.REQ_NODE_NOT_AVAIL, Reason.RESERVATION})
Blockers = tuple[Blocker, ...]
Licenses = tuple[tuple[str, int], ...]
#: What equals have in common: shape, standing, reservation.
Key = tuple[Shape, tuple[int, int] | None, str]


class Place(msgspec.Struct, frozen=True):
    """What is kept for a job from now on."""

    slot: Slot
    shape: Shape
    licenses: Licenses
    #: Why it does not start yet.
    blocker: Blocker


class Preemptions:
    """The preemptions of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene, ledger: Ledger, places: Places) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._working, self._timeline = scene.working, scene.timeline
        self._ledger = ledger
        self._gate, self._licenses = ledger.gate, ledger.licenses
        self._places = places
        #: Of jobs for which others go.
        self._kept: dict[int, Place] = {}
        self._departures = departures_by_job(snapshot)
        #: Pending jobs for which others are going, or have gone.
        self.waiting_ids = frozenset(self._departures)
        #: Somebody may preempt, or does.
        self.is_active = policy.preempt_plugin is not None or bool(self._departures)
        self._rights: Rights | None = None
        self._priorities: dict[int, int] = {}
        self._chosen_ids: set[int] = set()
        self._leavers: dict[Victim, Leaver] = {}
        self._in_vain: set[Key] = set()
        self._searches = 0
        self.chosen: list[PreemptJob] = []
        #: When a job may preempt others that it may not yet.
        self.look_again_at: float | None = None

    def keeps_place(self, job_id: int) -> bool:
        """Is a place kept for the job?"""
        return job_id in self._kept

    # --- places that are kept

    def begin(self, priorities: dict[int, int]) -> None:
        """priorities: by job id, as the queue found them."""
        self._priorities = priorities

    def keep_place(self, job: Job, shapes: Sequence[Shape]) -> None:
        """Keep the place of a job for which others are going.  shapes: its own, one for each way in which it may run.

        Where its place can't be had any more (a node went down) nothing is kept: it is decided about anew.
        """
        leaving = self._departures[job.id]
        names = next((each.job.preemption.nodes for each in leaving if each.job and each.job.preemption), ())
        for shape in shapes:
            parts = self._find_on(shape, names) if job.id not in self._kept else None
            if parts is not None:
                now_at, offset_s = self._snapshot.now_at, self._policy.utc_offset_s
                blocker = held_blocker(leaving, names, now_at, offset_s)
                ends = [each.job.preemption.ends_at for each in leaving if each.job and each.job.preemption]
                self._keep(job, parts, shape, blocker, max(now_at, *ends))

    def _find_on(self, shape: Shape, names: Sequence[str]) -> list[Part] | None:
        """Return the place on exactly these nodes."""
        needs = replace(shape.needs, required_nodes=tuple(names), nodes_max=len(names))
        if len(names) < needs.nodes_min or shape.partition_blocker is not None:
            return None
        bound = Shape(
            needs, shape.partition, shape.limit_s, self._working, self._timeline, shape.uid, access=shape.access
        )
        bound.guests = shape.guests
        return find_at(bound, self._working, self._timeline, self._timeline.now_at)

    def _keep(self, job: Job, parts: list[Part], shape: Shape, blocker: Blocker, at: float) -> None:
        licenses = shape.needs.licenses or shape.needs.license_choices[:1]
        claimant = self._ledger.claimant_of(job, shape)
        use = None if claimant is None else claimant.use(self._ledger.takes(parts), licenses)
        place = self._kept[job.id] = Place(Slot(self._timeline.now_at, parts, use), shape, licenses, blocker)
        self._put(job.id, place)
        self._places.tell(job.id, at, place.slot, shape)

    def _put(self, job_id: int, place: Place) -> None:
        self._places.hold(job_id, place.slot, place.shape)
        for name, count in place.licenses:
            self._licenses.free[name] = self._licenses.free.get(name, 0) - count

    def _lift(self, job_id: int, place: Place) -> None:
        self._places.let_go(job_id, place.slot, place.shape)
        for name, count in place.licenses:
            self._licenses.free[name] += count

    @contextmanager
    def aside(self, job_id: int, has_started: Callable[[], bool]) -> Iterator[None]:
        """Put the job's place aside while it is considered.  has_started: asked afterwards; nothing is kept then."""
        place = self._kept[job_id]
        self._lift(job_id, place)
        yield
        if has_started():
            del self._kept[job_id]
            self._places.planned.pop(job_id, None)
        else:
            self._put(job_id, place)

    def undo(self) -> None:
        """Take out of the timeline what the pass has put in."""
        for job_id, place in self._kept.items():
            self._lift(job_id, place)

    # --- new victims

    def consider(self, job: Job, shape: Shape, blockers: Blockers) -> Blockers:
        """Preempt others for a job that waits, if that lets it start; return why it waits now."""
        place = self._kept.get(job.id)
        if place is not None:
            return (place.blocker,)
        if self._policy.preempt_plugin is None or not blockers or not self._may_help(blockers[0]):
            return blockers
        if self._rights is None:
            self._rights = Rights(self._snapshot, self._policy, self._priorities, self._gate.book)
        standing = self._rights.standing_of(job, shape.partition)
        # Victims and room only become fewer during a pass: where one found nothing, its equals need not look.
        key = shape, standing, shape.view.reservation
        if standing is None or key in self._in_vain or self._searches >= _SEARCHES_MAX:
            return blockers
        self._searches += 1
        with self._slot_aside(job.id):
            return self._search(self._rights, job, shape, blockers, key)

    def _may_help(self, blocker: Blocker) -> bool:
        if blocker.reason is Reason.LICENSES:
            return self._policy.preempt.reclaims_licenses
        return blocker.reason in _MAY_HELP

    @contextmanager
    def _slot_aside(self, job_id: int) -> Iterator[None]:
        """Put the job's planned start aside; where victims are found for it, its place takes that one's place."""
        planned = self._places.drop(job_id)
        yield
        if planned is not None and job_id not in self._kept:
            self._places.keep(job_id, *planned)

    def _search(self, rights: Rights, job: Job, shape: Shape, blockers: Blockers, key: Key) -> Blockers:
        """Choose victims and keep the place that they make; return why the job waits now.  key: of its equals."""
        now_at = self._snapshot.now_at
        found = rights.victims_for(job, shape.partition, shape.view.reservation)
        found = [victim for victim in found if victim.job_id not in self._chosen_ids]
        victims = [victim for victim in found if victim.eligible_at <= now_at]
        later = [victim for victim in found if victim.eligible_at > now_at]
        search = _Search(self, job, shape, found)
        chosen = choose_victims(search.only_useful(victims), search.fits, self._policy.preempt)
        parts = None if chosen is None else search.fits(chosen)
        if chosen is not None and parts is not None:
            # A limit that its user has reached is no news of its equals.
            if self._is_limited(job, shape, parts):
                return blockers
            self._carry_out(job, shape, chosen, parts)
            return (self._kept[job.id].blocker,)
        self._in_vain.add(key)
        at = _find_later(search, victims, later)
        if at is None:
            return blockers
        self.look_again_at = at if self.look_again_at is None else min(at, self.look_again_at)
        return (exempt_blocker(blockers[0], at, now_at, self._policy.utc_offset_s), *blockers[1:])

    def _is_limited(self, job: Job, shape: Shape, parts: list[Part]) -> bool:
        takes = [(self._working.kinds[part.position], part.take) for part in parts]
        licenses = shape.needs.licenses or shape.needs.license_choices[:1]
        return bool(self._gate.find_placed_blockers(job, shape, takes, licenses))

    def _carry_out(self, job: Job, shape: Shape, chosen: list[Victim], parts: list[Part]) -> None:
        now_at = self._snapshot.now_at
        names = tuple(self._working.names[part.position] for part in parts)
        for victim in chosen:
            self._chosen_ids.add(victim.job_id)
            self._timeline.let_go(victim.running, victim.mode is PreemptMode.SUSPEND)
            order = PreemptJob(victim.job_id, victim.mode, job.id, victim.grace_s, names, shape.partition.name)
            self.chosen.append(order)
        blocker = chosen_blocker(chosen, names, now_at, self._policy.utc_offset_s)
        grace_s = max([victim.grace_s for victim in chosen], default=0.0)
        self._keep(job, parts, shape, blocker, now_at + grace_s)

    # --- for one search

    def situation(self, job: Job, shape: Shape, leavers: dict[int, Leaver]) -> Situation:
        always = [
            make_leaver(running, PreemptMode.CANCEL, self._snapshot.now_at, self._working)
            for running in self._departures.get(job.id, ())
            if is_going(running)
        ]
        return Situation(shape, self._working, self._timeline, leavers.values(), always)

    def has_licenses(self, shape: Shape, gone: Sequence[Victim]) -> bool:
        """Would the licenses be there?"""
        if not (shape.needs.licenses or shape.needs.license_choices):
            return True
        free = dict(self._licenses.free)
        for victim in gone if self._policy.preempt.reclaims_licenses else ():
            for name, count in victim.running.allocation.licenses if victim.mode is not PreemptMode.SUSPEND else ():
                free[name] = free.get(name, 0) + count
        return LicensePool(free).choose(shape.needs) is not None

    def leaver(self, victim: Victim) -> Leaver:
        leaver = self._leavers.get(victim)
        if leaver is None:
            leaver = self._leavers[victim] = make_leaver(victim.running, victim.mode, victim.end_at, self._working)
        return leaver


class _Search:
    """The questions of one choice."""

    def __init__(self, preemptions: Preemptions, job: Job, shape: Shape, victims: Sequence[Victim]) -> None:
        self._preemptions = preemptions
        self._shape = shape
        self._leavers = {victim.job_id: preemptions.leaver(victim) for victim in victims}
        self._situation = preemptions.situation(job, shape, self._leavers)

    def only_useful(self, victims: Sequence[Victim]) -> list[Victim]:
        """Return those that are on a node of use to the job, or have what it needs besides."""
        wants_licenses = bool(self._shape.needs.licenses or self._shape.needs.license_choices)
        useful = self._situation.positions
        return [
            victim
            for victim in victims
            if not useful.isdisjoint(self._leavers[victim.job_id].takes)
            or (wants_licenses and victim.running.allocation.licenses)
        ]

    def fits(self, gone: Sequence[Victim]) -> list[Part] | None:
        if not self._preemptions.has_licenses(self._shape, gone):
            return None
        return self._situation.find([self._leavers[victim.job_id] for victim in gone])


def _find_later(search: _Search, victims: list[Victim], later: list[Victim]) -> float | None:
    """Return when enough of those may be preempted that are exempt as yet; None when all would not be enough."""
    if not later or search.fits([*victims, *later]) is None:
        return None
    ranked = sorted(later, key=lambda victim: (victim.eligible_at, victim.job_id))
    least, most = 1, len(ranked)
    while least < most:
        middle = (least + most) // 2
        if search.fits([*victims, *ranked[:middle]]) is None:
            least = middle + 1
        else:
            most = middle
    return ranked[most - 1].eligible_at
