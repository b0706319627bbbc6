"""Planned starts: when and where a job that does not fit now is expected to start.

Jobs are planned in queue order, each at the earliest moment at which it fits beside everything that runs or is planned
already; a lower job starts early only in the gaps (search.find_now looks at the timeline too).  How many jobs
are planned is bounded by counts in decide.py.

Invariant: a planned start never moves later because of a job below it.
Source: Mu'alem & Feitelson 2001, section 2 (conservative variant).
"""

import heapq
import operator

import msgspec

from .levels import Level
from .reservation_slots import find_restricted_slot
from .search import Part, find_at, is_first_fit, offers
from .shapes import Shape
from .timeline import Timeline
from .working import WorkingCopy


class Slot(msgspec.Struct, frozen=True):
    """A place in time: from when, and what is taken from which nodes for the job's whole limit."""

    at: float
    parts: list[Part]


def find_slot(shape: Shape, working: WorkingCopy, timeline: Timeline, window_s: float) -> Slot | None:
    """Return the earliest slot for a job of the shape that begins within the window, or None."""
    latest_at = timeline.now_at + window_s
    if shape.book is not None:
        found = find_restricted_slot(shape, timeline, latest_at)
        return None if found is None else Slot(*found)
    if is_first_fit(shape) and shape.needs.is_single_node:
        return _find_on_one_node(shape, working, timeline, latest_at)
    return _find_on_many_nodes(shape, working, timeline, latest_at)


def reserve(slot: Slot, shape: Shape, timeline: Timeline) -> None:
    """Take the slot's resources out of the timeline."""
    for part in slot.parts:
        timeline.reserve(part.position, part.take, slot.at, slot.at + shape.duration_s)


def release(slot: Slot, shape: Shape, timeline: Timeline) -> None:
    """Undo reserve()."""
    for part in slot.parts:
        timeline.release(part.position, part.take, slot.at, slot.at + shape.duration_s)


def _find_on_one_node(shape: Shape, working: WorkingCopy, timeline: Timeline, latest_at: float) -> Slot | None:
    """Keep the earliest start of every node in a heap; a node is looked at again only when its steps have changed."""
    if shape.starts_by_node is None:
        timeline.looks += len(shape.candidates)
        shape.starts_by_node = [
            (_earliest_on(shape, working, timeline, position), order, position, timeline.changes.get(position, 0))
            for order, position in enumerate(shape.candidates)
        ]
        heapq.heapify(shape.starts_by_node)
    heap = shape.starts_by_node
    while heap:
        at, order, position, changes = heap[0]
        if at > latest_at:
            return None
        if changes == timeline.changes.get(position, 0):
            level = timeline.floor(position, at, at + shape.duration_s)
            return Slot(at, [Part(position, shape.needs.tasks, shape.take(level, shape.needs.tasks))])
        timeline.looks += 1
        at = _earliest_on(shape, working, timeline, position)
        heapq.heapreplace(heap, (at, order, position, timeline.changes.get(position, 0)))
    return None


def _earliest_on(shape: Shape, working: WorkingCopy, timeline: Timeline, position: int) -> float:
    """Return the first moment at which the node holds the whole job for its whole time; infinity for never."""
    times, levels = timeline.steps(position)
    duration_s, tasks = shape.duration_s, shape.needs.tasks
    begin_at: float | None = None
    for place_number, level in enumerate(levels):
        if _offer(shape, working, position, level) < tasks:
            begin_at = None
            continue
        if begin_at is None:
            begin_at = times[place_number]
        until_at = begin_at + duration_s
        if place_number + 1 == len(times) or times[place_number + 1] >= until_at:
            # Each moment holds the job; with units of several types it must also be the same units all the time.
            if _offer(shape, working, position, timeline.floor(position, begin_at, until_at)) >= tasks:
                return begin_at
            begin_at = times[place_number]
    return float("inf")


def _find_on_many_nodes(shape: Shape, working: WorkingCopy, timeline: Timeline, latest_at: float) -> Slot | None:
    """Sweep over the moments at which some node has more to offer, and search where the sum could be enough.

    The sums are never too low (a node's offer is lowered late at a planned job's start), so no moment is missed; the
    search itself looks at each node exactly.
    """
    from_at = max(timeline.now_at, shape.planned_at)
    changes = [
        (at if at > from_at else from_at, position, offer)
        for position in shape.candidates
        for at, offer in _offers_over_time(shape, working, timeline, position)
    ]
    # Only by time: what happens to one node up to from_at stays in its order, and the last of it counts.
    changes.sort(key=operator.itemgetter(0))
    offer_by_position: dict[int, int] = {}
    total = nodes = 0
    for index, (at, position, offer) in enumerate(changes):
        if at > latest_at:
            return None
        before = offer_by_position.get(position, 0)
        offer_by_position[position] = offer
        total += offer - before
        nodes += bool(offer) - bool(before)
        is_last_of_moment = index + 1 == len(changes) or changes[index + 1][0] > at
        if is_last_of_moment and total >= shape.needs.tasks and nodes >= shape.needs.nodes_min:
            parts = find_at(shape, working, timeline, at)
            if parts is not None:
                return Slot(at, parts)
    return None


def _offers_over_time(shape: Shape, working: WorkingCopy, timeline: Timeline, position: int) -> list[tuple[float, int]]:
    """Return (moment, tasks that the node holds from it on for the whole limit) where that changes."""
    known = shape.offers_by_node.get(position)
    changes = timeline.changes.get(position, 0)
    if known is None or known[0] != changes:
        timeline.looks += 1
        known = shape.offers_by_node[position] = (changes, _compute_offers(shape, working, timeline, position))
    return known[1]


def _compute_offers(shape: Shape, working: WorkingCopy, timeline: Timeline, position: int) -> list[tuple[float, int]]:
    times, levels = timeline.steps(position)
    moments = times
    if position in timeline.planned_positions:
        ends = {at - shape.duration_s for at in times}
        moments = sorted({*times, *(at for at in ends if at > timeline.now_at)})
        levels = [timeline.floor(position, at, at + shape.duration_s) for at in moments]
    found = [_offer(shape, working, position, level) for level in levels]
    result = []
    last = 0
    for at, offer in zip(moments, found, strict=True):
        if offer != last:
            result.append((at, offer))
            last = offer
    return result


def _offer(shape: Shape, working: WorkingCopy, position: int, level: Level) -> int:
    if shape.uid is None:
        return shape.offer(level)
    return offers(shape, working, lambda _: level)(position)
