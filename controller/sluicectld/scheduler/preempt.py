"""Preemption in one pass: who makes room for whom, and whose place is kept meanwhile.

A job that fits nowhere now gets the cheapest set of victims whose end lets it start (preempt_choice.py), by the same
search over what would be free then (preempt_attempt.py).  Its place is kept from everybody else from that moment on:
in this pass, and in every later one while its victims are going (preempt_places.py).  For a heterogeneous job that is
one attempt, and a place for each of its components.

Invariant: nothing is preempted for a job that would not start then, nor while its place is kept already.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from sluice.model.job import Job
from sluice.model.preemption import PreemptMode, Room
from sluice.model.reason import Blocker, Reason

from .departures import is_going, lead_id_of
from .ledger import Ledger
from .memory import Scene
from .places import Places
from .plan import Exempt, PreemptJob
from .preempt_attempt import Attempt, Components, Leavers, Placed, find_later
from .preempt_choice import choose_victims
from .preempt_places import KeptPlaces
from .preempt_rules import Rights
from .preempt_search import Leaver, make_leaver
from .preempt_texts import chosen_blocker, exempt_blocker
from .preempt_victims import Victim
from .shapes import Shape
from .snapshot import Policy, Snapshot

#: Jobs for which victims are searched in one pass at most.
_SEARCHES_MAX = 100
#: What the end of others can help against; licenses only where they may be reclaimed.
_MAY_HELP = frozenset({Reason.RESOURCES, Reason.PRIORITY, Reason.REQ_NODE_NOT_AVAIL, Reason.RESERVATION})
Blockers = tuple[Blocker, ...]
#: What equals have in common: shape, standing, reservation.
Key = tuple[Shape, tuple[int, int] | None, str]


class Preemptions:
    """The preemptions of one pass."""

    def __init__(self, snapshot: Snapshot, policy: Policy, scene: Scene, ledger: Ledger, places: Places) -> None:
        self._snapshot = snapshot
        self._policy = policy
        self._scene = scene
        self._ledger = ledger
        self._places = places
        #: Of jobs for which others go.
        self.kept = KeptPlaces(snapshot, policy, scene, ledger, places)
        #: Somebody may preempt, or does.
        self.is_active = policy.preempt_plugin is not None or bool(self.kept.departures)
        self._rights: Rights | None = None
        self._priorities: dict[int, int] = {}
        self._chosen_ids: set[int] = set()
        self._leavers = Leavers(scene)
        #: What came of a search that found nobody for now.
        self._in_vain: dict[Key, Exempt | None] = {}
        self._searches = 0
        self.chosen: list[PreemptJob] = []
        #: When a job may preempt others that it may not yet.
        self.look_again_at: float | None = None
        #: By the job, a heterogeneous one by its leader.
        self.exempt: dict[int, Exempt] = {}

    def begin(self, priorities: dict[int, int]) -> None:
        """priorities: by job id, as the queue found them."""
        self._priorities = priorities

    def consider(self, job: Job, shape: Shape, blockers: Blockers) -> Blockers:
        """Preempt others for a job that waits, if that lets it start; return why it waits now."""
        kept = self.kept.find_blocker(job.id)
        if kept is not None:
            return (kept,)
        rights = self._find_rights()
        if rights is None or not blockers or not self.may_help(blockers[0]):
            return blockers
        standing = rights.standing_of(job, shape.partition)
        # Victims and room only become fewer during a pass: where one found nothing, its equals need not look.
        key = shape, standing, shape.view.reservation
        if key in self._in_vain:
            self._note_exempt(job, self._in_vain[key])
            return blockers
        if standing is None or self._searches >= _SEARCHES_MAX:
            return blockers
        with self._slots_aside((job.id,)):
            is_settled, later = self._make_room([[(job, shape)]], rights)
        kept = self.kept.find_blocker(job.id)
        if kept is not None:
            return (kept,)
        if is_settled:
            # A limit that its user has reached is no news of its equals.
            return blockers
        self._in_vain[key] = later
        self._note_exempt(job, later)
        return self._with_exempt(blockers, later)

    def consider_together(self, components: Components, blockers: Mapping[int, Blockers]) -> Mapping[int, Blockers]:
        """Preempt others for a heterogeneous job that waits, if that lets it start; return why its components wait now.

        components: in the ways in which nothing but room is missing.  blockers: of each.
        """
        ids = [ways[0][0].id for ways in components if ways]
        kept = self.kept.find_blockers(ids)
        if kept:
            return kept
        rights = self._find_rights()
        if rights is None or len(ids) < len(components) or self._searches >= _SEARCHES_MAX:
            return blockers
        if not any(rights.standing_of(job, shape.partition) for ways in components for job, shape in ways):
            return blockers
        with self._slots_aside(ids):
            is_settled, later = self._make_room(components, rights)
        if is_settled:
            return self.kept.find_blockers(ids) or blockers
        self._note_exempt(components[0][0][0], later)
        return {job_id: self._with_exempt(found, later) for job_id, found in blockers.items()}

    def may_help(self, blocker: Blocker) -> bool:
        """Could the end of others help against it?"""
        if blocker.reason is Reason.LICENSES:
            return self._policy.preempt.reclaims_licenses
        return blocker.reason in _MAY_HELP

    def _find_rights(self) -> Rights | None:
        if self._rights is None and self._policy.preempt_plugin is not None:
            self._rights = Rights(self._snapshot, self._policy, self._priorities, self._ledger.gate.book)
        return self._rights

    @contextmanager
    def _slots_aside(self, job_ids: Iterable[int]) -> Iterator[None]:
        """Put planned starts aside; where victims are found for the jobs, their places take the place of those."""
        planned = [(job_id, self._places.drop(job_id)) for job_id in job_ids]
        yield
        for job_id, slot in planned:
            if slot is not None and not self.kept.has(job_id):
                self._places.keep(job_id, *slot)

    def _make_room(self, components: Components, rights: Rights) -> tuple[bool, Exempt | None]:
        """Choose victims and keep the places that they make; return whether it was done, or a limit forbids it.

        And where nobody helps as yet, who will when it is tried again; None for nobody.
        """
        self._searches += 1
        now_at = self._snapshot.now_at
        lead_id = lead_id_of(components[0][0][0])
        reclaims, always = self._policy.preempt.reclaims_licenses, self._find_always(lead_id)
        attempt = Attempt(
            components, self._scene, self._ledger, rights, self._leavers, reclaims, self._chosen_ids, always
        )
        victims = [victim for victim in attempt.victims if victim.eligible_at <= now_at]
        chosen = choose_victims(attempt.only_useful(victims), attempt.fits, self._policy.preempt)
        placed = None if chosen is None else attempt.fits(chosen)
        if chosen is None or placed is None:
            later = [each for each in attempt.victims if each.eligible_at > now_at]
            return False, find_later(attempt, victims, later)
        if not attempt.find_limited(placed):
            self._carry_out(lead_id, chosen, placed)
        return True, None

    def _find_always(self, lead_id: int) -> list[Leaver]:
        leaving = [running for running in self.kept.departures.get(lead_id, ()) if is_going(running)]
        now_at, working = self._snapshot.now_at, self._scene.working
        return [make_leaver(running, PreemptMode.CANCEL, now_at, working) for running in leaving]

    def _carry_out(self, lead_id: int, chosen: list[Victim], placed: list[Placed]) -> None:
        now_at, names = self._snapshot.now_at, self._scene.working.names
        rooms = tuple(
            Room(
                job_id=each.job.id,
                partition=each.shape.partition.name,
                nodes=tuple(names[part.position] for part in each.parts),
            )
            for each in placed
        )
        for victim in chosen:
            self._chosen_ids.add(victim.job_id)
            self._let_go(victim)
            self.chosen.append(PreemptJob(victim.job_id, victim.mode, lead_id, victim.grace_s, rooms))
        grace_s = max([victim.grace_s for victim in chosen], default=0.0)
        for room, each in zip(rooms, placed, strict=True):
            blocker = chosen_blocker(chosen, room.nodes, now_at, self._policy.utc_offset_s)
            self.kept.keep(each.job, each.parts, each.shape, blocker, now_at + grace_s)

    def _let_go(self, victim: Victim) -> None:
        is_suspended = victim.mode is PreemptMode.SUSPEND
        for part in victim.parts:
            self._scene.timeline.let_go(part, is_suspended)
            if self._scene.guests is not None and not is_suspended:
                self._scene.guests.let_go(part)

    def _note_exempt(self, job: Job, later: Exempt | None) -> None:
        if later is not None:
            self.exempt[lead_id_of(job)] = later

    def _with_exempt(self, blockers: Blockers, later: Exempt | None) -> Blockers:
        """Return the blockers of a job that may preempt others later, None for nobody."""
        if later is None or not blockers or not self.may_help(blockers[0]):
            return blockers
        self.look_again_at = later.at if self.look_again_at is None else min(later.at, self.look_again_at)
        first = exempt_blocker(blockers[0], later, self._snapshot.now_at, self._policy.utc_offset_s)
        return (first, *blockers[1:])
