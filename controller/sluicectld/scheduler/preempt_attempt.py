"""One attempt to make room by preemption: for one job, or for all components of a heterogeneous one together.

The components are placed one after the other, as they will be started (gangs.py), each on what those before it leave.
A component may count on the room of those only that it may preempt itself.

Invariant: nothing is changed here but what is noted while components are placed, and that is taken back.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import msgspec

from sluice.model.job import Job
from sluice.model.preemption import PreemptMode

from .ledger import Ledger
from .levels import Take
from .limits.licenses import LicensePool
from .memory import Scene
from .plan import Exempt
from .preempt_rules import Rights
from .preempt_search import Leaver, Situation, make_leaver
from .preempt_victims import Victim, end_of
from .search import Part
from .shapes import Shape

#: A job as it may run: in one of its partitions, as one of the reservations shows it.
Way = tuple[Job, Shape]
#: Each component in each of its ways; a plain job is the only one.
Components = Sequence[Sequence[Way]]


class Placed(msgspec.Struct, frozen=True):
    """Where a component would start, and with which licenses."""

    job: Job
    shape: Shape
    parts: list[Part]
    licenses: tuple[tuple[str, int], ...]


class Leavers:
    """Victims as jobs that may be gone, made once a pass: one for each part, and the positions where they are."""

    def __init__(self, scene: Scene) -> None:
        self._working = scene.working
        self.of: dict[Victim, list[Leaver]] = {}
        self.positions_of: dict[Victim, frozenset[int]] = {}

    def collect(self, victims: Sequence[Victim]) -> list[Leaver]:
        """Return those of all victims, after which each can be looked up."""
        for victim in victims:
            if victim not in self.of:
                made = [make_leaver(part, victim.mode, end_of(part), self._working) for part in victim.parts]
                self.of[victim] = made
                self.positions_of[victim] = frozenset[int]().union(*(leaver.takes for leaver in made))
        of = self.of
        return [leaver for victim in victims for leaver in of[victim]]


class Attempt:
    """The questions of one attempt.

    victims: whom some component may preempt, now or later, cheapest first.  chosen_ids: who goes for others already.
    always: those who are leaving for the job already.
    """

    def __init__(
        self,
        components: Components,
        scene: Scene,
        ledger: Ledger,
        rights: Rights,
        leavers: Leavers,
        reclaims_licenses: bool,
        chosen_ids: set[int],
        always: Sequence[Leaver],
    ) -> None:
        self._components = components
        self._ledger = ledger
        self._leavers = leavers
        self._reclaims_licenses = reclaims_licenses
        lists = [
            [
                [
                    victim
                    for victim in rights.victims_for(job, shape.partition, shape.view.reservation)
                    if victim.job_id not in chosen_ids
                ]
                for job, shape in ways
            ]
            for ways in components
        ]
        self.victims = _merge([each for of_ways in lists for each in of_ways])
        #: Whose room each component may count on in each of its ways; None: all have the same right.
        is_one = len(components) == 1 and len(components[0]) == 1
        self._allowed = None if is_one else [[frozenset(map(_means_of, each)) for each in of_ways] for of_ways in lists]
        gone = leavers.collect(self.victims)
        self._situations = [
            [Situation(shape, scene.working, scene.timeline, gone, always) for _, shape in ways] for ways in components
        ]
        positions = [situation.positions for ways in self._situations for situation in ways]
        self._useful = frozenset[int]().union(*positions)
        needs = [shape.needs for ways in components for _, shape in ways]
        self._wants_licenses = any(each.licenses or each.license_choices for each in needs)

    def only_useful(self, victims: Iterable[Victim]) -> list[Victim]:
        """Return those that are on a node of use, or have what is needed besides."""
        useful, positions_of = self._useful, self._leavers.positions_of
        return [
            victim
            for victim in victims
            if not useful.isdisjoint(positions_of[victim]) or (self._wants_licenses and victim.licenses)
        ]

    def fits(self, gone: Sequence[Victim]) -> list[Placed] | None:
        """Return where all components would start if these were gone, None if not all would."""
        beside: dict[int, list[Take]] = {}
        placed: list[Placed] = []
        licenses = LicensePool(self._ledger.licenses.free)
        freed = [victim.licenses for victim in gone if victim.mode is not PreemptMode.SUSPEND]
        for each in freed if self._reclaims_licenses else ():
            for name, count in each:
                licenses.free[name] = licenses.free.get(name, 0) + count
        with ExitStack() as noted:
            for number in range(len(self._components)):
                found = self._place(number, gone, beside, licenses)
                if found is None:
                    return None
                placed.append(found)
                if number + 1 < len(self._components):
                    noted.enter_context(self._ledger.noted(found.shape, found.parts, found.licenses))
                    for part in found.parts:
                        beside.setdefault(part.position, []).append(part.take)
        return placed

    def _place(
        self, number: int, gone: Sequence[Victim], beside: dict[int, list[Take]], licenses: LicensePool
    ) -> Placed | None:
        """Place a component in the first of its ways in which it fits, and take its licenses."""
        everybody = self._leavers.collect(gone) if beside else []
        for place, (job, shape) in enumerate(self._components[number]):
            chosen = licenses.choose(shape.needs)
            if chosen is None:
                continue
            allowed = gone
            if self._allowed is not None:
                allowed = [victim for victim in gone if _means_of(victim) in self._allowed[number][place]]
            own = self._leavers.collect(allowed)
            parts = self._situations[number][place].find(own, beside, everybody)
            if parts is not None:
                licenses.take(chosen)
                return Placed(job, shape, parts, chosen)
        return None

    def find_limited(self, placed: Sequence[Placed]) -> bool:
        """Would a limit keep one of them from starting there, beside those before it?"""
        gate = self._ledger.gate
        is_one = len(placed) == 1
        with ExitStack() as counted:
            for each in placed:
                takes = self._ledger.takes_of(each.parts)
                if gate.find_placed_blockers(each.job, each.shape, takes, each.licenses, is_lasting=is_one):
                    return True
                gate.add_start(each.job, each.shape, takes, each.licenses)
                counted.callback(gate.undo_start, each.job, each.shape, takes, each.licenses)
        return False


def find_later(attempt: Attempt, victims: list[Victim], later: list[Victim]) -> Exempt | None:
    """Return when enough of those may be preempted that are exempt as yet; None when all would not be enough."""
    if not later or attempt.fits([*victims, *later]) is None:
        return None
    ranked = sorted(later, key=lambda victim: (victim.eligible_at, victim.job_id))
    least, most = 1, len(ranked)
    while least < most:
        middle = (least + most) // 2
        if attempt.fits([*victims, *ranked[:middle]]) is None:
            least = middle + 1
        else:
            most = middle
    return Exempt(ranked[most - 1].eligible_at, tuple([victim.job_id for victim in ranked[:most]]))


def _merge(lists: list[list[Victim]]) -> list[Victim]:
    """Return all of them, cheapest first; each job in the way in which the first that may do so preempts it."""
    if len(lists) == 1:
        return lists[0]
    found: dict[int, Victim] = {}
    for victims in lists:
        for victim in victims:
            found.setdefault(victim.job_id, victim)
    return sorted(found.values(), key=_rank_of)


def _means_of(victim: Victim) -> tuple[int, PreemptMode]:
    return victim.job_id, victim.mode


def _rank_of(victim: Victim) -> tuple[float, ...]:
    return victim.rank
