"""Gangs: the components of a heterogeneous job, which start together or not at all.

A gang stands in the queue where the last of its components stands, so that none of them passes a job above it.  Its
components are placed one after the other, each beside those before it; when one does not fit, all are taken back.  Its
planned start is the first moment at which all of them fit together, found by the same walk on the timeline.

Invariant: all components of a gang are among the starts, or none is; the same for planned starts.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sluice.model.job import Job
from sluice.model.partition import Partition
from sluice.model.reason import Blocker, Reason

from . import verdicts
from .backfill import Slot, find_slot, first_moment_after
from .preempt_attempt import Way
from .ranking import waits_for_others
from .savepoint import Savepoint
from .search import find_at, find_now
from .shapes import Shape
from .standing import Entry
from .tracks import NEVER

if TYPE_CHECKING:
    from .decide import Pass

Blockers = tuple[Blocker, ...]
#: Where the components stand in a common start.
Promise = list[tuple[Job, Shape, Slot]]
#: Rounds of the search for a common start at most; each looks at a later moment.
_ROUNDS_MAX = 1000


class Gang:
    """size: of the job.  entries: by component, its places in the queue so far.  left: those still to come."""

    __slots__ = ("entries", "left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: dict[int, list[Entry]] = {}
        self.left = 0


class Gangs:
    """The heterogeneous jobs in the queue of one pass."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._gangs: dict[int, Gang] = {}
        for job, _ in entries:
            if job.het_job_id:
                self._gangs.setdefault(job.het_job_id, Gang(job.het_size)).left += 1

    def unfinished(self) -> list[int]:
        """Return the components that the queue has come to, of gangs that it has not come to the end of."""
        return [job_id for gang in self._gangs.values() if gang.left for job_id in gang.entries]

    def gather(self, job: Job, partition: Partition) -> Gang | None:
        """Note that the queue has come to a component; return its gang when nothing more of it will come."""
        gang = self._gangs[job.het_job_id]
        gang.entries.setdefault(job.id, []).append((job, partition))
        gang.left -= 1
        return gang if gang.left == 0 else None


#: Before the queue is known.
NO_GANGS = Gangs(())


def consider_component(one_pass: "Pass", job: Job, partition: Partition) -> None:
    """Start or plan the component's gang if this was the last that the queue had of it."""
    gang = one_pass.gangs.gather(job, partition)
    if gang is None:
        return
    starts = len(one_pass.ledger.starts)
    with one_pass.preemptions.kept.aside(sorted(gang.entries), lambda: len(one_pass.ledger.starts) > starts):
        _consider_gang(one_pass, gang)


def _consider_gang(one_pass: "Pass", gang: Gang) -> None:
    blocker = _find_gang_blocker(one_pass, gang)
    if blocker is not None:
        one_pass.blockers.update(dict.fromkeys(gang.entries, (blocker,)))
        return
    components = [list(_ways_of(one_pass, gang.entries[job_id])) for job_id in sorted(gang.entries)]
    if _keeps_promise(one_pass, components):
        _preempt(one_pass, components)
        return
    # A gang is not in its own way: its components are counted when it is done with.
    candidates = [way for ways in components for way in ways if _is_candidate(one_pass, *way)]
    _start_or_plan(one_pass, gang, components)
    for job, shape in candidates:
        one_pass.heads.note_candidate(job, shape)


def _start_or_plan(one_pass: "Pass", gang: Gang, components: list[list[Way]]) -> None:
    promise = _take_back_promise(one_pass, components)
    stuck = _start_all(one_pass, components)
    if stuck is None:
        one_pass.started_ids.update(gang.entries)
        return
    place, barred = stuck
    for number, ways in enumerate(components):
        one_pass.blockers[ways[0][0].id] = _blockers_of(
            one_pass, ways, components[place][0][0], number == place, barred
        )
        one_pass.heads.note(*ways[0])
    may_help = not barred or one_pass.preemptions.may_help(barred[0])
    if may_help and _preempt(one_pass, components):
        return
    if not barred or all(waits_for_others(blocker) for blocker in barred):
        _plan_all(one_pass, components, promise)


def _preempt(one_pass: "Pass", components: list[list[Way]]) -> bool:
    """Make room for the gang that waits, if that lets it start; return whether its places are kept."""
    preemptions = one_pass.preemptions
    if not preemptions.is_active:
        return False
    ids = [ways[0][0].id for ways in components]
    open_ways = [[way for way in ways if _lacks_room_only(one_pass, *way, components)] for ways in components]
    one_pass.blockers.update(
        preemptions.consider_together(open_ways, {job_id: one_pass.blockers[job_id] for job_id in ids})
    )
    return preemptions.kept.has(ids[0])


def _lacks_room_only(one_pass: "Pass", job: Job, shape: Shape, components: list[list[Way]]) -> bool:
    """Does nothing keep the component from starting that way but room, which others could make?"""
    heads = one_pass.heads
    is_first = any(heads.is_first(other, shape) for ways in components for other, _ in ways[:1])
    if heads.is_stopped(shape) or not (one_pass.policy.is_backfilling or is_first):
        return False
    blocked = shape.blockers is not None and not shape.is_waiting
    if blocked and not (shape.blockers and one_pass.preemptions.may_help(shape.blockers[0])):
        return False
    return not one_pass.gate.find_blockers(job, shape)


def _find_gang_blocker(one_pass: "Pass", gang: Gang) -> Blocker | None:
    missing = gang.size - len(gang.entries)
    if missing:
        text = f"{missing} of the {gang.size} components of its heterogeneous job may not start yet"
        return Blocker(reason=Reason.NONE, text=text)
    starts = len(one_pass.ledger.starts)
    if starts and starts + gang.size > one_pass.policy.starts_max:
        one_pass.has_more = True
        return verdicts.next_pass(starts)
    return None


def _is_candidate(one_pass: "Pass", job: Job, shape: Shape) -> bool:
    return one_pass.heads.is_candidate(shape) and one_pass.heads.find_blocker(job, shape) is None


def _ways_of(one_pass: "Pass", entries: Sequence[Entry]) -> Iterator[Way]:
    return itertools.chain.from_iterable(itertools.starmap(one_pass.ways_of, entries))


def _start_all(one_pass: "Pass", components: list[list[Way]]) -> tuple[int, Blockers] | None:
    """Start all components.

    Otherwise nothing is changed; returns the place of one that can't start beside those before it, and what bars it,
    () if it is only room that is missing.
    """
    savepoint = Savepoint(one_pass, [shape for ways in components for _, shape in ways])
    for place, ways in enumerate(components):
        found: list[Blockers] = []
        for job, shape in ways:
            barred = _start(one_pass, savepoint, job, shape)
            if barred is None:
                break
            found.append(barred)
        else:
            savepoint.undo()
            return place, () if () in found else tuple(itertools.chain.from_iterable(found))
    for _, shape, _ in savepoint.jobs:
        one_pass.heads.note_start(shape)
    return None


def _start(one_pass: "Pass", savepoint: Savepoint, job: Job, shape: Shape) -> Blockers | None:
    """Start one component; return what bars it, () for no room, None when nothing does."""
    limited = _find_limits(one_pass, job, shape)
    if shape.blockers is not None:
        return limited if shape.is_waiting else shape.blockers
    if limited:
        return limited
    parts = find_now(shape, one_pass.working, one_pass.timeline)
    if parts is None:
        return ()
    limited = one_pass.ledger.find_placed_blockers(job, shape, parts, is_lasting=False)
    if limited:
        return limited
    savepoint.start(job, shape, parts)
    return None


def _find_limits(one_pass: "Pass", job: Job, shape: Shape) -> Blockers:
    """Return what keeps a component from starting now, whatever is free on the nodes."""
    found = list(one_pass.gate.find_blockers(job, shape))
    found += filter(None, (one_pass.heads.find_blocker(job, shape), one_pass.ledger.find_license_blocker(shape)))
    return tuple(found)


def _blockers_of(one_pass: "Pass", ways: list[Way], stuck: Job, is_stuck: bool, barred: Blockers) -> Blockers:
    """Return what a component waits for: what stands against itself, or the one that can't start beside the others.

    barred: what bars that one, () if it is only room that is missing.
    """
    if is_stuck:
        return barred or (_missing(one_pass, stuck, [shape for _, shape in ways]),)
    found: list[Blocker] = []
    for job, shape in ways:
        found += shape.blockers or ()
        found += _find_limits(one_pass, job, shape)
    text = f"component {stuck.het_job_id}+{stuck.het_offset} of its heterogeneous job does not fit beside the others"
    found.append(Blocker(reason=barred[0].reason if barred else Reason.RESOURCES, text=text))
    return tuple(dict.fromkeys(found))


def _missing(one_pass: "Pass", job: Job, shapes: Sequence[Shape]) -> Blocker:
    """Return that resources are missing, or that no nodes in service have them."""
    shape = next(filter(one_pass.fits_idle, shapes), None)
    if shape is None:
        return verdicts.unavailable(shapes[0], one_pass.working)
    return one_pass.resources_blocker(job, shape)


# --- planned starts


def _keeps_promise(one_pass: "Pass", components: list[list[Way]]) -> bool:
    """Does an earlier promise stand, for nothing came back since?"""
    promised = [one_pass.places.slots.get(ways[0][0].id) for ways in components]
    moments = {each[0].at for each in promised if each is not None}
    if None in promised or len(moments) > 1 or one_pass.snapshot.is_freed or min(moments) <= one_pass.snapshot.now_at:
        return False
    for ways, found in zip(components, promised, strict=True):
        assert found is not None, "looked at above"
        job, shape = ways[0][0], found[1]
        one_pass.places.planned[job.id] = one_pass.snapshot.promised[job.id]
        one_pass.blockers[job.id] = (one_pass.resources_blocker(job, shape),)
        one_pass.heads.note(job, shape)
    return True


def _take_back_promise(one_pass: "Pass", components: list[list[Way]]) -> Promise:
    """Take what is left of an earlier promise out of the timeline; return it if it was one for all of them."""
    found: Promise = []
    for ways in components:
        job = ways[0][0]
        kept = one_pass.places.drop(job.id)
        if kept is not None:
            slot, shape = kept
            # What kept its twins from starting, or later, may have been this promise.
            shape.begin()
            found.append((job, shape, slot))
    return found if len(found) == len(components) and len({slot.at for _, _, slot in found}) == 1 else []


def _plan_all(one_pass: "Pass", components: list[list[Way]], promise: Promise) -> None:
    """Give all components the first start at which they fit together, unless a bound is reached or one is barred.

    promise: where they stand if there is nothing earlier.
    """
    chosen = [next((way for way in ways if _may_plan(one_pass, *way)), None) for ways in components]
    found = [way for way in chosen if way is not None]
    if len(found) < len(chosen) or not one_pass.planner.may_look_ahead(found):
        return
    slots = _find_common_slot(one_pass, found)
    planned = [(job, shape, slot) for (job, shape), slot in zip(found, slots, strict=False)]
    if promise and one_pass.snapshot.now_at < promise[0][2].at <= (slots[0].at if slots else NEVER):
        for job, _, _ in planned:
            one_pass.places.drop(job.id)
        for job, shape, slot in promise:
            one_pass.places.keep(job.id, slot, shape)
        planned = promise
    for job, shape, slot in planned:
        one_pass.planner.note(job, slot, shape)


def _may_plan(one_pass: "Pass", job: Job, shape: Shape) -> bool:
    if shape.blockers is not None and not shape.is_waiting:
        return False
    if one_pass.heads.find_blocker(job, shape) or not one_pass.gate.may_reserve(job, shape):
        return False
    claimant = one_pass.ledger.claimant_of(job, shape)
    return claimant is None or claimant.earliest(one_pass.snapshot.now_at) < NEVER


def _find_common_slot(one_pass: "Pass", chosen: list[Way]) -> list[Slot]:
    """Return where each stands at the first moment at which all fit together, held by the timeline; [] for never.

    None of them fits earlier beside the others than alone; so the search goes from the latest of their own first
    starts to the next, and where they don't fit together on to the next moment at which something becomes free.
    """
    working, timeline = one_pass.working, one_pass.timeline
    latest_at, looks_max, due_at = one_pass.planner.find_bounds(chosen)
    at = max(timeline.now_at, due_at)
    for _ in range(_ROUNDS_MAX):
        first_at = at
        for job, shape in chosen:
            claimant = one_pass.ledger.claimant_of(job, shape)
            slot = find_slot(shape, working, timeline, latest_at, looks_max, first_at, claimant)
            if slot is None:
                return []
            first_at = slot.at
        if first_at > at:
            at = first_at
            continue
        found = _fit_at(one_pass, chosen, at)
        if found:
            return found
        at = min(
            first_moment_after(shape, timeline, at, one_pass.ledger.claimant_of(job, shape)) for job, shape in chosen
        )
        if at > latest_at or at == NEVER or timeline.tracks.looks > looks_max:
            return []
    return []


def _fit_at(one_pass: "Pass", chosen: list[Way], at: float) -> list[Slot]:
    """Hold and return a place for each at the moment; [], with nothing held, when one does not fit."""
    held: list[Slot] = []
    for job, shape in chosen:
        slot = _slot_at(one_pass, job, shape, at)
        if slot is None:
            for other, _ in chosen[: len(held)]:
                one_pass.places.drop(other.id)
            return []
        held.append(slot)
        one_pass.places.keep(job.id, slot, shape)
    return held


def _slot_at(one_pass: "Pass", job: Job, shape: Shape, at: float) -> Slot | None:
    parts = find_at(shape, one_pass.working, one_pass.timeline, at)
    claimant = one_pass.ledger.claimant_of(job, shape)
    if parts is None or claimant is None:
        return None if parts is None else Slot(at, parts)
    use, _ = claimant.settle(one_pass.ledger.takes_of(parts), at)
    return None if use is None else Slot(at, parts, use)
